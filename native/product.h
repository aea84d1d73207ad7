// Matrix products. Every element is one chain of fused multiply-adds over k in rising order,
// whatever the tile that holds it, so results do not depend on the number of rows or threads.
#pragma once

#include "vector.h"

namespace LOOPWISE_ISA {

constexpr int VECTORS = REGISTERS >= 32 ? 4 : 2;  // in a panel of columns that has no gates

// Rows that a tile of so many vectors may have: accumulators, a row of the panel, one broadcast.
constexpr int most_rows(int vectors) {
  int rows = (REGISTERS - vectors - 1) / vectors;
  return rows > 8 ? 8 : rows;
}

// Weights that lie in memory for each column of a panel, where it has K: some types want more.
template <class W>
constexpr int depth_of(int K) {
  return K;
}

// A matrix [K, N] in panels: [panel][K][vector][lane]. Where it gives gates (gates > 1), a panel
// holds the columns of all gates for the same WIDTH units; else VECTORS * WIDTH columns, fewer
// vectors in the last.
template <class W>
struct Panels {
  W* data;
  int K, units, gates;  // columns = units * gates

  int vectors() const { return gates > 1 ? gates : VECTORS; }
  int panel_units() const { return gates > 1 ? WIDTH : VECTORS * WIDTH; }
  int panels() const { return (units + panel_units() - 1) / panel_units(); }
  int vectors_of(int panel) const {
    if (gates > 1) return gates;
    int rest = (units - panel * panel_units() + WIDTH - 1) / WIDTH;
    return rest < VECTORS ? rest : VECTORS;
  }
  W* panel(int p) const { return data + (size_t)p * depth_of<W>(K) * vectors() * WIDTH; }
  // Lanes in use, of vector v.
  int lanes(int p, int v) const {
    int left = units - p * panel_units() - (gates > 1 ? 0 : v * WIDTH);
    return left < WIDTH ? left : WIDTH;
  }
  // Which of the matrix's columns a vector begins with.
  size_t first(int p, int v) const {
    return gates > 1 ? (size_t)v * units + (size_t)p * WIDTH
                     : (size_t)p * panel_units() + (size_t)v * WIDTH;
  }
  // Where vector v goes, from the start of a row of the result whose gates lie `far[v]` apart.
  ptrdiff_t column(int p, int v, const ptrdiff_t* far) const {
    return p * panel_units() + (gates > 1 ? far[v] : (ptrdiff_t)v * WIDTH);
  }
  static size_t size(int K, int units, int gates) {
    Panels p = {nullptr, K, units, gates};
    return (size_t)p.panels() * depth_of<W>(K) * p.vectors() * WIDTH;
  }
};

using Packed = Panels<float>;

// Four weights of eight bits, for four neighbours in K: a panel of them has a quarter of the depth.
struct Four {
  int32_t bytes;
};

constexpr int quarters(int K) { return (K + 3) / 4; }

// How weights of a type meet what they are multiplied with.
template <class W>
struct Arithmetic {
  typedef float In;
  typedef Vec Sum;
  static INLINE_MEMBER Vec times(float a, const W* w, Vec sum) {
    return fma(splat(a), load(w), sum);
  }
};

template <>
struct Arithmetic<Four> {
  typedef int32_t In;  // four bytes, each OFFSET too large
  typedef Int Sum;
  static INLINE_MEMBER Int times(int32_t a, const Four* w, Int sum) {
    return dot(sum, a, load_int((const int32_t*)w));
  }
};

// What makes sums of eight-bit products the numbers they stand for.
struct Scales {
  const float* column;  // in panels, as a bias is
  const int32_t* sums;  // of the weights of each column, OFFSET times
  const float* row;     // of each row of inputs
};

// One number into a panel.
INLINE void put(float* to, float x) { *to = x; }
INLINE void put(uint16_t* to, float x) { store(to, splat(x), 1); }

// Panel p of w, given with an output a row: [gates * units, K], as torch keeps it. Functions that
// pack return whether the weights' type could hold all numbers.
template <class W>
INLINE bool pack_outputs(const Panels<W>& w, int p, const float* from) {
  int n = w.vectors_of(p);
  W* to = w.panel(p);
  for (int v = 0; v < n; v++) {
    int lanes = w.lanes(p, v);
    const float* rows = from + w.first(p, v) * w.K;
    int k = 0;
#if defined(__AVX512F__)
    if constexpr (sizeof(W) == sizeof(float)) {
      for (; k + WIDTH <= w.K; k += WIDTH) {
        Vec square[WIDTH];
        UNROLL for (int i = 0; i < WIDTH; i++)
          square[i] = i < lanes ? load(rows + (size_t)i * w.K + k) : Vec{};
        transpose(square);
        UNROLL for (int i = 0; i < WIDTH; i++)
          store(to + ((size_t)(k + i) * n + v) * WIDTH, square[i]);
      }
    }
#endif
    for (; k < w.K; k++) {
      W* line = to + ((size_t)k * n + v) * WIDTH;
      for (int i = 0; i < lanes; i++) put(line + i, rows[(size_t)i * w.K + k]);
      for (int i = lanes; i < WIDTH; i++) line[i] = 0;
    }
  }
  return true;
}

// Panel p of rows `from[k]` of N columns each, k0 <= k < k1; for the panels of a matrix [K, N].
INLINE bool pack_rows(const Packed& w, int p, const float* const* from) {
  int n = w.vectors_of(p);
  float* to = w.panel(p);
  for (int k = 0; k < w.K; k++)
    for (int v = 0; v < n; v++) {
      const float* columns = from[k] + (size_t)p * w.panel_units() + v * WIDTH;
      store(to + ((size_t)k * n + v) * WIDTH, load(columns, w.lanes(p, v)));
    }
  return true;
}

enum Start { ZERO, KEEP, BIAS, ADD };  // what a product goes on from; ADD: is added to at its end

static const float NO_BIAS[4 * WIDTH] = {};

// What a tile works on: where its vectors go and come from.
struct Target {
  ptrdiff_t column[4];
  int lanes[4];
  Start start;
  const float* bias;  // per vector, WIDTH lanes each
  Scales scales;      // of the first vector and the first row
};

INLINE Vec begin(const Target& t, int n, const float* c) {
  if (t.start == KEEP) return load(c + t.column[n], t.lanes[n]);
  return t.start == BIAS ? load(t.bias + n * WIDTH) : Vec{};
}

// Sums go on from what is there already; those of bytes are added to it once they are whole.
INLINE void open(Vec& sum, const Target& t, int n, const float* c) { sum = begin(t, n, c); }
INLINE void open(Int& sum, const Target&, int, const float*) { sum = Int{}; }

INLINE Vec close(Vec sum, const Target&, int, int, const float*) { return sum; }
INLINE Vec close(Int sum, const Target& t, int n, int m, const float* c) {
  Int whole = sum - load_int(t.scales.sums + n * WIDTH);
  Vec scale = load(t.scales.column + n * WIDTH) * t.scales.row[m];
  return fma(__builtin_convertvector(whole, Vec), scale, begin(t, n, c));
}

// c[m] = start + a[m] * panel, for M rows and N vectors; a[m] is read with a stride of 1 (STEP 1),
// or the rows lie side by side from a[0] (STEP M).
template <int M, int N, int STEP, class W>
INLINE void tile(const W* panel, int K, const typename Arithmetic<W>::In* const* a,
                 float* const* c, const Target& t) {
  typedef Arithmetic<W> By;
  typename By::Sum acc[M][N];
  UNROLL for (int m = 0; m < M; m++) {
    UNROLL for (int n = 0; n < N; n++) open(acc[m][n], t, n, c[m]);
  }
  const typename By::In* row[M];
  UNROLL for (int m = 0; m < M; m++) row[m] = STEP == 1 ? a[m] : a[0] + m;
  for (int k = 0; k < K; k++) {
    UNROLL for (int m = 0; m < M; m++) {
      UNROLL for (int n = 0; n < N; n++)
        acc[m][n] = By::times(row[m][(ptrdiff_t)k * STEP], panel + (size_t)(k * N + n) * WIDTH,
                              acc[m][n]);
    }
  }
  UNROLL for (int m = 0; m < M; m++) {
    UNROLL for (int n = 0; n < N; n++) {
      float* to = c[m] + t.column[n];
      Vec v = close(acc[m][n], t, n, m, c[m]);
      if (t.start == ADD) v = v + load(to, t.lanes[n]);
      store(to, v, t.lanes[n]);
    }
  }
}

template <int M, int N, bool ACROSS, class W>
static void tiles_of(int rows, const W* panel, int K,
                     const typename Arithmetic<W>::In* const* a, float* const* c, const Target& t) {
  if (rows == M)
    tile<M, N, ACROSS ? M : 1>(panel, K, a, c, t);
  else if constexpr (M > 1)
    tiles_of<M - 1, N, ACROSS>(rows, panel, K, a, c, t);
}

// How many of `rows` the next tile takes: tiles of about the same height.
INLINE int tile_height(int rows, int most) {
  int tiles = (rows + most - 1) / most;
  return (rows + tiles - 1) / tiles;
}

template <int N, bool ACROSS, class W>
static void tiles(int rows, const W* panel, int K, const typename Arithmetic<W>::In* const* a,
                  float* const* c, const Target& t) {
  tiles_of<most_rows(N), N, ACROSS>(rows, panel, K, a, c, t);
}

template <class W>
INLINE Target target(const Panels<W>& w, int p, const ptrdiff_t* far, Start start) {
  Target t;
  for (int v = 0; v < w.vectors_of(p); v++) {
    t.column[v] = w.column(p, v, far);
    t.lanes[v] = w.lanes(p, v);
  }
  t.start = start;
  t.bias = NO_BIAS;
  t.scales = {};
  return t;
}

// One row has too few sums to keep the machine busy: it takes several panels at once.
template <int N, int SPAN, class W>
static void row_times(const W* panel, size_t apart, int K,
                      const typename Arithmetic<W>::In* a, float* c, const Target* t) {
  typedef Arithmetic<W> By;
  typename By::Sum acc[SPAN][N];
  UNROLL for (int q = 0; q < SPAN; q++) {
    UNROLL for (int n = 0; n < N; n++) open(acc[q][n], t[q], n, c);
  }
  for (int k = 0; k < K; k++) {
    UNROLL for (int q = 0; q < SPAN; q++) {
      UNROLL for (int n = 0; n < N; n++)
        acc[q][n] = By::times(a[k], panel + q * apart + (size_t)(k * N + n) * WIDTH, acc[q][n]);
    }
  }
  UNROLL for (int q = 0; q < SPAN; q++) {
    UNROLL for (int n = 0; n < N; n++)
      store(c + t[q].column[n], close(acc[q][n], t[q], n, 0, c), t[q].lanes[n]);
  }
}

// Panels p0 to p1, which have N vectors each.
template <int N, class W>
static void panels_times(const Panels<W>& w, int p0, int p1, int rows,
                         const typename Arithmetic<W>::In* const* a, float* const* c,
                         const ptrdiff_t* far, Start start, const float* bias,
                         const Scales& scales) {
  constexpr int MOST = most_rows(N), SPAN = (8 + N - 1) / N;
  for (int p = p0; p < p1;) {
    int span = rows == 1 && p + SPAN <= p1 ? SPAN : 1;
    Target t[SPAN];
    for (int q = 0; q < span; q++) {
      t[q] = target(w, p + q, far, start);
      const size_t before = (size_t)(p + q) * w.vectors() * WIDTH;
      if (start == BIAS) t[q].bias = bias + before;
      if (scales.column) t[q].scales = {scales.column + before, scales.sums + before, scales.row};
    }
    if (span == SPAN && rows == 1) {
      row_times<N, SPAN>(w.panel(p), (size_t)w.K * N * WIDTH, w.K, a[0], c[0], t);
    } else {
      for (int r = 0; r < rows;) {
        int m = tile_height(rows - r, MOST);
        tiles<N, false>(m, w.panel(p), w.K, a + r, c + r, t[0]);
        if (t[0].scales.row) t[0].scales.row += m;
        r += m;
      }
    }
    p += span;
  }
}

// Rows c[r], from their columns of panels p0 to p1 on, become start + a[r] * w; a[r] has K numbers.
template <class W>
static void multiply(const Panels<W>& w, int p0, int p1, int rows,
                     const typename Arithmetic<W>::In* const* a, float* const* c,
                     const ptrdiff_t* far, Start start, const float* bias = NO_BIAS,
                     const Scales& scales = {}) {
  // all panels have the same number of vectors, but for the last of those without gates
  if (p1 <= p0) return;
  int whole = p1, last = w.vectors_of(p1 - 1);
  if (last != w.vectors()) whole = p1 - 1;
  switch (w.vectors()) {
    case 4: panels_times<4>(w, p0, whole, rows, a, c, far, start, bias, scales); break;
    case 3: panels_times<3>(w, p0, whole, rows, a, c, far, start, bias, scales); break;
    default: panels_times<2>(w, p0, whole, rows, a, c, far, start, bias, scales);
  }
  if (whole == p1) return;
  switch (last) {
    case 3: panels_times<3>(w, whole, p1, rows, a, c, far, start, bias, scales); break;
    case 2: panels_times<2>(w, whole, p1, rows, a, c, far, start, bias, scales); break;
    default: panels_times<1>(w, whole, p1, rows, a, c, far, start, bias, scales);
  }
}

// What the calling thread must hold while it multiplies: an object of this class.
template <class W>
class Unit {
 public:
  Unit() {}  // nothing
};

// Rows of inputs as products by weights of type W take them; room for some, made ready once for
// several panels.
template <class W>
class Inputs {
 public:
  Inputs(int, int, bool&) {}
  void take(const float* const* rows, int, int) { rows_ = rows; }
  const float* const* rows() const { return rows_; }
  bool finite() const { return true; }

 private:
  const float* const* rows_ = nullptr;
};

static void multiply(const Packed& w, int p0, int p1, int rows, const Inputs<float>& in,
                     float* const* c, const ptrdiff_t* far, Start start,
                     const float* bias = NO_BIAS) {
  multiply(w, p0, p1, rows, in.rows(), c, far, start, bias);
}

// No more than a tile's height of numbers; what follows them is written over.
INLINE void copy_few(float* to, const float* from, int n) {
#if defined(__AVX512F__)
  store(to, load(from, n));
#else
  for (int i = 0; i < n; i++) to[i] = from[i];
#endif
}

constexpr int BLOCK_K = 256;

// Some columns of up to BLOCK_K rows, made ready to be multiplied from the left as rows.
template <class W>
class Columns {
 public:
  explicit Columns(bool&) {}
  static constexpr int TALL = most_rows(VECTORS), MOST = 8 * TALL;  // how many

  void take(const float* const* rows, int depth, int first, int n) {
    depth_ = depth;
    n_ = n;
    for (int m = 0, tall; m < n; m += tall) {
      tall = tile_height(n - m, TALL);
      float* to = block_ + (size_t)m * depth;
      for (int k = 0; k < depth; k++, to += tall) copy_few(to, rows[k] + first + m, tall);
    }
  }

  void times(const Packed& w, float* const* c, Start start) const {
    for (int p = 0; p < w.panels(); p++) {
      Target t = target(w, p, nullptr, start);
      for (int m = 0, tall; m < n_; m += tall) {
        tall = tile_height(n_ - m, TALL);
        const float* from = block_ + (size_t)m * depth_;
        switch (w.vectors_of(p)) {
          case 4: tiles<VECTORS, true>(tall, w.panel(p), depth_, &from, c + m, t); break;
          case 3: tiles<VECTORS == 4 ? 3 : 2, true>(tall, w.panel(p), depth_, &from, c + m, t); break;
          case 2: tiles<2, true>(tall, w.panel(p), depth_, &from, c + m, t); break;
          default: tiles<1, true>(tall, w.panel(p), depth_, &from, c + m, t);
        }
      }
    }
  }
  bool finite() const { return true; }

 private:
  alignas(64) float block_[MOST * BLOCK_K + WIDTH];  // `copy_few` writes beyond its end
  int depth_ = 0, n_ = 0;
};

// The right factor of a product of two, and where it goes.
template <class W>
struct Factor {
  const float* const* b;  // rows of N numbers
  int N;
  float* c;               // [M, N]
  W* panels;              // room for Panels<W>::size(BLOCK_K, N, 1)
};

// c [M, N] = or += sum over k of a[k][m] * w[k][n].
template <class W>
static void multiply_columns(const float* const* a, const Panels<W>& w, int M, float* c, Start start,
                             Columns<W>& columns) {
  for (int m = 0; m < M; m += Columns<W>::MOST) {
    const int height = M - m < Columns<W>::MOST ? M - m : Columns<W>::MOST;
    float* rows[Columns<W>::MOST];
    for (int i = 0; i < height; i++) rows[i] = c + (size_t)(m + i) * (size_t)w.units;
    columns.take(a, w.K, m, height);
    columns.times(w, rows, start);
  }
}

// c [M, N] = or, where `start` is ADD, += sum over k of a[k][m] * b[k][n] for each factor: what
// weights' gradients are. In blocks of k, each with a sum of its own, which is more accurate than one
// long chain. All threads of the team call it, each with columns of its own.
template <class W>
static bool outer(const float* const* a, int M, int K, const Factor<W>* factors, int count,
                  Columns<W>& columns, Start start = ZERO) {
  bool finite = true;
  for (int f = 0; f < count && K == 0 && start == ZERO; f++) {  // the sum of nothing
#pragma omp for
    for (int m = 0; m < M; m++)
      memset(factors[f].c + (size_t)m * factors[f].N, 0, sizeof(float) * (size_t)factors[f].N);
  }
  for (int k0 = 0; k0 < K; k0 += BLOCK_K) {
    const int depth = K - k0 < BLOCK_K ? K - k0 : BLOCK_K;
    for (int f = 0; f < count; f++) {
      Panels<W> w = {factors[f].panels, depth, factors[f].N, 1};
#pragma omp for nowait
      for (int p = 0; p < w.panels(); p++) finite &= pack_rows(w, p, factors[f].b + k0);
    }
#pragma omp barrier
#pragma omp for
    for (int m0 = 0; m0 < M; m0 += Columns<W>::MOST) {
      const int height = M - m0 < Columns<W>::MOST ? M - m0 : Columns<W>::MOST;
      columns.take(a + k0, depth, m0, height);
      for (int f = 0; f < count; f++) {
        Panels<W> w = {factors[f].panels, depth, factors[f].N, 1};
        float* rows[Columns<W>::MOST];
        for (int m = 0; m < height; m++)
          rows[m] = factors[f].c + (size_t)(m0 + m) * (size_t)factors[f].N;
        columns.times(w, rows, k0 ? ADD : start);
      }
    }
  }
  return finite;
}

}  // namespace LOOPWISE_ISA
