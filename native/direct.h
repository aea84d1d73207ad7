// Products by weights as torch keeps them, [gates * units, K], for calls that are over before packing
// would pay. A square of weights is turned in registers and used at once; sums are the same chains
// over rising k as those of packed weights, so the results are the same bits.
#pragma once

#include "product.h"
#include "split.h"

namespace LOOPWISE_ISA {

#if !defined(__AVX512F__)

using Direct = float;

#else

struct Direct {
  const float* weights;  // of the whole matrix
};

template <>
inline size_t Panels<Direct>::size(int, int, int) {
  return 1;
}

INLINE bool pack_outputs(const Panels<Direct>& w, int p, const float* from) {
  if (p == 0) w.data->weights = from;
  return true;
}

// Vector v of c[m] = start + a[m] * w for M rows; `rows` are the weights of its first unit.
template <int M>
static void turned(const float* rows, int K, const float* const* a, float* const* c,
                   const Target& t, int v) {
  const int lanes = t.lanes[v];
  Vec acc[M];
  UNROLL for (int m = 0; m < M; m++) acc[m] = begin(t, v, c[m]);
  int k = 0;
  for (; k + WIDTH <= K; k += WIDTH) {
    Vec square[WIDTH];
    UNROLL for (int i = 0; i < WIDTH; i++)
      square[i] = i < lanes ? load(rows + (size_t)i * K + k) : Vec{};
    transpose(square);
    UNROLL for (int i = 0; i < WIDTH; i++) {
      UNROLL for (int m = 0; m < M; m++) acc[m] = fma(splat(a[m][k + i]), square[i], acc[m]);
    }
  }
  for (; k < K; k++) {
    float column[WIDTH] = {};
    for (int i = 0; i < lanes; i++) column[i] = rows[(size_t)i * K + k];
    UNROLL for (int m = 0; m < M; m++) acc[m] = fma(splat(a[m][k]), load(column), acc[m]);
  }
  UNROLL for (int m = 0; m < M; m++) store(c[m] + t.column[v], acc[m], lanes);
}

template <int M>
static void turned_of(int rows, const float* from, int K, const float* const* a, float* const* c,
                      const Target& t, int v) {
  if (rows == M) turned<M>(from, K, a, c, t, v);
  else if constexpr (M > 1) turned_of<M - 1>(rows, from, K, a, c, t, v);
}

static void multiply(const Panels<Direct>& w, int p0, int p1, int rows, const Inputs<Direct>& in,
                     float* const* c, const ptrdiff_t* far, Start start,
                     const float* bias = NO_BIAS) {
  constexpr int MOST = 8;
  for (int p = p0; p < p1; p++) {
    Target t = target(w, p, far, start);
    if (start == BIAS) t.bias = bias + (size_t)p * (size_t)w.vectors() * WIDTH;
    for (int v = 0; v < w.vectors_of(p); v++) {
      const float* from = w.data->weights + w.first(p, v) * (size_t)w.K;
      for (int r = 0, height; r < rows; r += height) {
        height = tile_height(rows - r, MOST);
        turned_of<MOST>(height, from, w.K, in.rows() + r, c + r, t, v);
      }
    }
  }
}

#endif

// Whether weights are used too seldom to be packed.
static bool is_brief(const Recurrence& p) { return p.T <= 4 && p.T * p.B <= 16; }

// As `make_plan`, but that by rows each thread would turn all weights.
static Plan make_direct_plan(const Recurrence& p) {
  Plan plan = make_plan(p, false);
  const bool separable = !p.norm_ih && p.P == p.H && p.H >= 64 * p.threads;
  if (plan.threads > 1 && separable) return {p.threads, true};
  return plan;
}

}  // namespace LOOPWISE_ISA
