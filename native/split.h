// Products of float on tiles that multiply bfloat16 (AMX). A float is the sum of three bfloat16, and
// of their nine products the six largest are summed, in float: what is left out is below 2^-26 of
// each product, less than float's own rounding. That is six times the work on a unit that is more
// than twenty times as fast. The idea: Henry, Tang, Heinecke, "Leveraging the bfloat16 artificial
// intelligence datatype for higher-precision computations", ARITH 2019.
//
// Infinities have no such parts, so the callers are told of numbers that are not finite and compute
// with vectors instead. As with vectors, an element's sum does not depend on where its row lies.
#pragma once

#include "memory.h"
#include "product.h"

namespace LOOPWISE_ISA {

// Rows of K numbers that are multiplied at once where there are many. They are to stay near; but for
// each such block all weights are read, from farther away.
constexpr int at_once(int K) {
  int rows = 192 * 512 / (K > 512 ? K : 512) / 16 * 16;
  return rows > 48 ? rows : 48;
}

#if !defined(__AMX_BF16__)

using Tiled = float;  // the weights of large batches

#else

constexpr int TILE = 16, PARTS = 3, DEEP = 2 * TILE;  // a tile: 16 rows of 32 bfloat16
constexpr int TILE_HALVES = TILE * DEEP, BLOCK_HALVES = PARTS * TILE_HALVES;

// The three parts of one float. In memory those of a block of weights lie in three tiles.
struct Split {
  uint16_t parts[PARTS];
};

using Tiled = Split;

template <>
constexpr int depth_of<Split>(int K) {
  return (K + DEEP - 1) / DEEP * DEEP;
}

// While it lives the calling thread has tiles: all of 16 rows of 64 bytes.
template <>
class Unit<Split> {
 public:
  Unit() {
    _tile_storeconfig(&before_);
    Shape mine = {};
    mine.palette = 1;
    for (int i = 0; i < 8; i++) {
      mine.bytes[i] = 4 * TILE;
      mine.rows[i] = TILE;
    }
    barrier();
    _tile_loadconfig(&mine);
  }
  ~Unit() {
    if (before_.palette) _tile_loadconfig(&before_);
    else _tile_release();
  }
  Unit(const Unit&) = delete;
  Unit& operator=(const Unit&) = delete;

 private:
  struct Shape {
    uint8_t palette, start, unused[14];
    uint16_t bytes[16];
    uint8_t rows[16];
  };
  // the intrinsics do not say what memory they read
  static void barrier() { __asm__ volatile("" ::: "memory"); }

  alignas(64) Shape before_ = {};
};

// 32 numbers as three times 32 bfloat16, in their order. Whether all are finite, with their parts.
INLINE bool split(Vec first, Vec second, __m512i* parts) {
  const __m512i huge = _mm512_set1_epi32(0x7f7f8000), magnitude = _mm512_set1_epi32(0x7fffffff);
  int bad = _mm512_cmpge_epi32_mask(_mm512_and_si512((__m512i)first, magnitude), huge) |
            _mm512_cmpge_epi32_mask(_mm512_and_si512((__m512i)second, magnitude), huge);
  UNROLL for (int i = 0; i < PARTS; i++) {
    parts[i] = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
    __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(parts[i]));
    __m512i high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(parts[i], 1));
    first = first - (Vec)_mm512_slli_epi32(low, 16);
    second = second - (Vec)_mm512_slli_epi32(high, 16);
  }
  return !bad;
}

// The same of two rows, with the numbers of each column side by side.
INLINE bool split_pairs(Vec even, Vec odd, __m512i* parts) {
  static const uint16_t ORDER[DEEP] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                       8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  bool finite = split(even, odd, parts);
  const __m512i order = _mm512_loadu_si512(ORDER);
  UNROLL for (int i = 0; i < PARTS; i++) parts[i] = _mm512_permutexvar_epi16(order, parts[i]);
  return finite;
}

INLINE void store_parts(uint16_t* block, int row, const __m512i* parts) {
  UNROLL for (int i = 0; i < PARTS; i++)
    _mm512_storeu_si512(block + i * TILE_HALVES + row * DEEP, parts[i]);
}

// Lanes 0 to n of p, or nothing of it.
INLINE Vec load_some(const float* p, int n) {
  return n <= 0 ? Vec{} : load(p, n < WIDTH ? n : WIDTH);
}

// Turns the rows of a block that holds pairs of K in each row into columns, or back.
INLINE void turn(uint16_t* block, __m512i (*parts)[PARTS]) {
  for (int i = 0; i < PARTS; i++) {
    Vec square[TILE];
    UNROLL for (int k = 0; k < TILE; k++) square[k] = (Vec)parts[k][i];
    transpose(square);
    UNROLL for (int k = 0; k < TILE; k++)
      _mm512_storeu_si512(block + i * TILE_HALVES + k * DEEP, (__m512i)square[k]);
  }
}

// Block k of vector v of a panel.
INLINE uint16_t* block_of(const Panels<Split>& w, int p, int k, int v) {
  return (uint16_t*)w.panel(p) + (size_t)(k * w.vectors_of(p) + v) * BLOCK_HALVES;
}

INLINE bool pack_outputs(const Panels<Split>& w, int p, const float* from) {
  bool finite = true;
  for (int v = 0; v < w.vectors_of(p); v++) {
    const int lanes = w.lanes(p, v);
    const float* rows = from + w.first(p, v) * (size_t)w.K;
    for (int k = 0; k * DEEP < w.K; k++) {
      const int left = w.K - k * DEEP;
      __m512i parts[TILE][PARTS];
      for (int i = 0; i < TILE; i++) {
        const float* row = rows + (size_t)i * (size_t)w.K + k * DEEP;
        const int here = i < lanes ? left : 0;
        finite &= split(load_some(row, here), load_some(row + WIDTH, here - WIDTH), parts[i]);
      }
      turn(block_of(w, p, k, v), parts);
    }
  }
  return finite;
}

INLINE bool pack_rows(const Panels<Split>& w, int p, const float* const* from) {
  bool finite = true;
  for (int k = 0; k * DEEP < w.K; k++)
    for (int v = 0; v < w.vectors_of(p); v++) {
      const size_t column = (size_t)p * (size_t)w.panel_units() + (size_t)(v * WIDTH);
      for (int i = 0; i < TILE; i++) {
        const int at = k * DEEP + 2 * i, lanes = w.lanes(p, v);
        Vec even = at < w.K ? load(from[at] + column, lanes) : Vec{};
        Vec odd = at + 1 < w.K ? load(from[at + 1] + column, lanes) : Vec{};
        __m512i parts[PARTS];
        finite &= split_pairs(even, odd, parts);
        store_parts(block_of(w, p, k, v), i, parts);
      }
    }
  return finite;
}

// Rows in blocks of 16: [block][K/32][part][row][32].
template <>
class Inputs<Split> {
 public:
  Inputs(int rows, int K, bool& failed)
      : data_((size_t)((rows + TILE - 1) / TILE) * (size_t)depth_of<Split>(K) * TILE, failed) {}

  void take(const float* const* rows, int n, int K) {
    blocks_ = depth_of<Split>(K) / DEEP;
    for (int r = 0; r < n; r++)
      for (int k = 0; k < blocks_; k++) {
        const int left = K - k * DEEP;
        const float* from = rows[r] + k * DEEP;
        __m512i parts[PARTS];
        finite_ &= split(load_some(from, left), load_some(from + WIDTH, left - WIDTH), parts);
        store_parts(block(r / TILE, k), r % TILE, parts);
      }
  }

  // Columns of K rows become rows.
  void take_columns(const float* const* rows, int K, int first, int n) {
    blocks_ = depth_of<Split>(K) / DEEP;
    for (int m = 0; m < n; m += TILE)
      for (int k = 0; k < blocks_; k++) {
        const int lanes = n - m < TILE ? n - m : TILE;
        __m512i parts[TILE][PARTS];
        for (int i = 0; i < TILE; i++) {
          const int at = k * DEEP + 2 * i;
          Vec even = at < K ? load(rows[at] + first + m, lanes) : Vec{};
          Vec odd = at + 1 < K ? load(rows[at + 1] + first + m, lanes) : Vec{};
          finite_ &= split_pairs(even, odd, parts[i]);
        }
        turn(block(m / TILE, k), parts);
      }
  }

  const uint16_t* rows_from(int r) const { return block(r / TILE, 0); }
  int blocks() const { return blocks_; }
  bool finite() const { return finite_; }  // all that was ever taken

 private:
  uint16_t* block(int r, int k) const {
    return (uint16_t*)(Split*)data_ + ((size_t)r * (size_t)blocks_ + (size_t)k) * BLOCK_HALVES;
  }

  Buffer<Split> data_;
  int blocks_ = 0;
  bool finite_ = true;
};

// out [16, 4 * 16] = 16 rows times N vectors of a panel. Tiles: 0 to 3 sums, 4 to 6 the parts of the
// rows, 7 a part of the weights.
template <int N>
static void tile_products(const uint16_t* w, int blocks, const uint16_t* a, float* out) {
  constexpr int ROW = 4 * TILE;  // bytes
  __asm__ volatile("" ::: "memory");
  _tile_zero(0);
  if constexpr (N > 1) _tile_zero(1);
  if constexpr (N > 2) _tile_zero(2);
  if constexpr (N > 3) _tile_zero(3);
  for (int k = 0; k < blocks; k++, a += BLOCK_HALVES) {
    _tile_loadd(4, a, ROW);
    _tile_loadd(5, a + TILE_HALVES, ROW);
    _tile_loadd(6, a + 2 * TILE_HALVES, ROW);
#define LOOPWISE_TIMES(sum)                    \
  if constexpr (N > sum) {                     \
    _tile_loadd(7, w, ROW);                    \
    _tile_dpbf16ps(sum, 4, 7);                 \
    _tile_dpbf16ps(sum, 5, 7);                 \
    _tile_dpbf16ps(sum, 6, 7);                 \
    _tile_loadd(7, w + TILE_HALVES, ROW);      \
    _tile_dpbf16ps(sum, 4, 7);                 \
    _tile_dpbf16ps(sum, 5, 7);                 \
    _tile_loadd(7, w + 2 * TILE_HALVES, ROW);  \
    _tile_dpbf16ps(sum, 4, 7);                 \
    w += BLOCK_HALVES;                         \
  }
    LOOPWISE_TIMES(0)
    LOOPWISE_TIMES(1)
    LOOPWISE_TIMES(2)
    LOOPWISE_TIMES(3)
#undef LOOPWISE_TIMES
  }
  constexpr int STRIDE = 4 * ROW;
  _tile_stored(0, out, STRIDE);
  if constexpr (N > 1) _tile_stored(1, out + TILE, STRIDE);
  if constexpr (N > 2) _tile_stored(2, out + 2 * TILE, STRIDE);
  if constexpr (N > 3) _tile_stored(3, out + 3 * TILE, STRIDE);
  __asm__ volatile("" ::: "memory");
}

static void multiply(const Panels<Split>& w, int p0, int p1, int rows, const Inputs<Split>& in,
                     float* const* c, const ptrdiff_t* far, Start start,
                     const float* bias = NO_BIAS) {
  alignas(64) float out[TILE * 4 * TILE];
  for (int p = p0; p < p1; p++) {
    Target t = target(w, p, far, start);
    if (start == BIAS) t.bias = bias + (size_t)p * (size_t)w.vectors() * WIDTH;
    const int n = w.vectors_of(p);
    for (int r = 0; r < rows; r += TILE) {
      const uint16_t *panel = block_of(w, p, 0, 0), *a = in.rows_from(r);
      switch (n) {
        case 4: tile_products<4>(panel, in.blocks(), a, out); break;
        case 3: tile_products<3>(panel, in.blocks(), a, out); break;
        case 2: tile_products<2>(panel, in.blocks(), a, out); break;
        default: tile_products<1>(panel, in.blocks(), a, out);
      }
      for (int m = 0; m < TILE && r + m < rows; m++)
        for (int v = 0; v < n; v++) {
          float* to = c[r + m] + t.column[v];
          Vec sum = load(out + (m * 4 + v) * WIDTH);
          if (start == BIAS) sum = sum + load(t.bias + v * WIDTH);
          else if (start != ZERO) sum = sum + load(to, t.lanes[v]);
          store(to, sum, t.lanes[v]);
        }
    }
  }
}

template <>
class Columns<Split> {
 public:
  explicit Columns(bool& failed) : in_(MOST, BLOCK_K, failed) {}
  static constexpr int MOST = 4 * TILE;

  void take(const float* const* rows, int depth, int first, int n) {
    n_ = n;
    in_.take_columns(rows, depth, first, n);
  }
  void times(const Panels<Split>& w, float* const* c, Start start) const {
    multiply(w, 0, w.panels(), n_, in_, c, nullptr, start);
  }
  bool finite() const { return in_.finite(); }

 private:
  Inputs<Split> in_;
  int n_ = 0;
};

#endif

}  // namespace LOOPWISE_ISA
