// The vector of the instruction set that this file is compiled for, and the little that the
// compiler's vector types lack. Everything lives in a namespace of that instruction set: were two
// of them to share a name, the linker could keep the copy that the machine cannot run.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define INLINE_MEMBER inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

namespace LOOPWISE_ISA {

#if defined(__AVX512F__)
constexpr int WIDTH = 16, REGISTERS = 32;
#elif defined(__AVX2__)
constexpr int WIDTH = 8, REGISTERS = 16;
#elif defined(__ARM_NEON)
constexpr int WIDTH = 4, REGISTERS = 32;
#else
constexpr int WIDTH = 4, REGISTERS = 16;
#endif

typedef float Vec __attribute__((vector_size(4 * WIDTH)));
typedef int32_t Int __attribute__((vector_size(4 * WIDTH)));
typedef uint8_t Bytes __attribute__((vector_size(WIDTH)));

INLINE Vec splat(float x) { return x - Vec{}; }

INLINE Vec load(const float* p) {
  Vec v;
  memcpy(&v, p, sizeof v);
  return v;
}

INLINE void store(float* p, Vec v) { memcpy(p, &v, sizeof v); }

// The first n lanes; the others are zero, and no memory beyond them is touched.
INLINE Vec load(const float* p, int n) {
  if (__builtin_expect(n == WIDTH, 1)) return load(p);
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
  Vec v = {};
  for (int i = 0; i < n; i++) v[i] = p[i];
  return v;
#endif
}

INLINE void store(float* p, Vec v, int n) {
  if (__builtin_expect(n == WIDTH, 1)) return store(p, v);
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
  for (int i = 0; i < n; i++) p[i] = v[i];
#endif
}

// bfloat16: the upper half of a float.
typedef uint16_t Half __attribute__((vector_size(2 * WIDTH)));
typedef uint32_t Word __attribute__((vector_size(4 * WIDTH)));

INLINE Vec load(const uint16_t* p, int n) {
  Half half = {};
  memcpy(&half, p, sizeof(uint16_t) * (size_t)n);
  Word bits = __builtin_convertvector(half, Word) << 16;
  Vec v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

INLINE Vec load(const uint16_t* p) {
#if defined(__AVX512F__)  // GCC would widen it in halves
  __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p));
  return (Vec)_mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
#elif defined(__AVX2__)
  __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p));
  return (Vec)_mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
#else
  return load(p, WIDTH);
#endif
}

// Rounded to the nearest, to the even one of two.
INLINE void store(uint16_t* p, Vec v, int n) {
  Word bits;
  memcpy(&bits, &v, sizeof bits);
  Word rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  rounded = (bits & 0x7fffffff) > 0x7f800000 ? rounded * 0 + 0x7fc0 : rounded;  // NaN
  Half half = __builtin_convertvector(rounded, Half);
  memcpy(p, &half, sizeof(uint16_t) * (size_t)n);
}

// a * b + c. Written out, because whether a compiler contracts an expression may differ from one
// copy of a template to the next, and equal inputs must give equal bits.
INLINE Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__ARM_NEON)
  return (Vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

INLINE Int load_int(const int32_t* p) {
  Int v;
  memcpy(&v, p, sizeof v);
  return v;
}

// What a byte of input is too large by: x86 multiplies signed bytes with unsigned ones only.
#if defined(__ARM_FEATURE_DOTPROD)
constexpr int OFFSET = 0;
#else
constexpr int OFFSET = 128;
#endif

// sum + a . w in each lane: four bytes of a, the same for all, with four signed ones of w.
INLINE Int dot(Int sum, int32_t a, Int w) {
#if defined(__AVX512VNNI__)
  return (Int)_mm512_dpbusd_epi32((__m512i)sum, _mm512_set1_epi32(a), (__m512i)w);
#elif defined(__ARM_FEATURE_DOTPROD)
  int8x16_t same = vreinterpretq_s8_s32(vdupq_n_s32(a));
  return (Int)vdotq_s32((int32x4_t)sum, same, vreinterpretq_s8_s32((int32x4_t)w));
#else
  for (int shift = 0; shift < 32; shift += 8)
    sum += ((w << (24 - shift)) >> 24) * (int32_t)((uint32_t)a >> shift & 255u);
  return sum;
#endif
}

#if defined(__AVX512F__)
// Lane k of v[i] becomes lane i of v[k].
INLINE void transpose(Vec* v) {
  __m512 a[WIDTH], b[WIDTH];
  UNROLL for (int i = 0; i < WIDTH; i += 2) {
    a[i] = _mm512_unpacklo_ps((__m512)v[i], (__m512)v[i + 1]);
    a[i + 1] = _mm512_unpackhi_ps((__m512)v[i], (__m512)v[i + 1]);
  }
  UNROLL for (int i = 0; i < WIDTH; i += 4) {
    UNROLL for (int j = 0; j < 2; j++) {
      __m512d low = _mm512_castps_pd(a[i + j]), high = _mm512_castps_pd(a[i + 2 + j]);
      b[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      b[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
  }
  // b[4 q + m]: in its part s of four lanes, lane 4 s + m of v[4 q] to v[4 q + 3]
  UNROLL for (int m = 0; m < 4; m++) {
    __m512 low = _mm512_shuffle_f32x4(b[m], b[4 + m], 0x88);
    __m512 odd = _mm512_shuffle_f32x4(b[m], b[4 + m], 0xdd);
    __m512 more = _mm512_shuffle_f32x4(b[8 + m], b[12 + m], 0x88);
    __m512 rest = _mm512_shuffle_f32x4(b[8 + m], b[12 + m], 0xdd);
    v[m] = (Vec)_mm512_shuffle_f32x4(low, more, 0x88);
    v[8 + m] = (Vec)_mm512_shuffle_f32x4(low, more, 0xdd);
    v[4 + m] = (Vec)_mm512_shuffle_f32x4(odd, rest, 0x88);
    v[12 + m] = (Vec)_mm512_shuffle_f32x4(odd, rest, 0xdd);
  }
}
#endif

INLINE float sum(Vec v) {  // pairwise, in one fixed order
  float part[WIDTH];
  store(part, v);
  for (int half = WIDTH / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) part[i] += part[i + half];
  return part[0];
}

INLINE float largest(Vec v) {
  float part[WIDTH];
  store(part, v);
  for (int half = WIDTH / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) part[i] = part[i + half] > part[i] ? part[i + half] : part[i];
  return part[0];
}

// Denormal numbers as zero while an object of this class lives: they can cost a factor of twenty.
class NoDenormals {
 public:
#if defined(__x86_64__) || defined(__i386__)
  NoDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~NoDenormals() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  NoDenormals() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(before_));
    __asm__ volatile("msr fpcr, %0" ::"r"(before_ | (1ull << 24)));
  }
  ~NoDenormals() { __asm__ volatile("msr fpcr, %0" ::"r"(before_)); }

 private:
  uint64_t before_;
#endif
};

}  // namespace LOOPWISE_ISA
