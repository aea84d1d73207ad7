// exp, sigmoid and tanh on vectors. NaN passes through.
#pragma once

#include "vector.h"

namespace LOOPWISE_ISA {

// exp(x) = scale * (1 + tail), with scale a power of two and |tail| < 0.42; -87 <= x <= 88.
INLINE void split_exp(Vec x, Vec& scale, Vec& tail) {
  const float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves an integer in the low bits
  Vec shifted = fma(x, splat(1.44269504f), splat(round));
  Vec n = shifted - round;
  Vec r = fma(n, splat(-0.693359375f), x);  // ln 2 in two parts
  r = fma(n, splat(2.12194440e-4f), r);
  Vec q = splat(1.0f / 5040);
  q = fma(q, r, splat(1.0f / 720));
  q = fma(q, r, splat(1.0f / 120));
  q = fma(q, r, splat(1.0f / 24));
  q = fma(q, r, splat(1.0f / 6));
  q = fma(q, r, splat(0.5f));
  tail = fma(q * r, r, r);
  Word bits;  // of NaN no number comes: without a sign that may overflow
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3f800000;
  memcpy(&scale, &bits, sizeof scale);
}

// exp(x) for x <= 0, but not below e^-87.
INLINE Vec exp_below(Vec x) {
  Vec scale, tail;
  split_exp(x < -87.0f ? splat(-87.0f) : x, scale, tail);
  return fma(scale, tail, scale);
}

INLINE Vec sigmoid(Vec x) {
  Vec t = -x;
  t = t > 88.0f ? splat(88.0f) : t;  // a comparison with NaN is false
  t = t < -87.0f ? splat(-87.0f) : t;
  Vec scale, tail;
  split_exp(t, scale, tail);
  return 1.0f / (1.0f + fma(scale, tail, scale));
}

// (e^2|x| - 1) / (e^2|x| + 1): the numerator is formed without cancellation, so that small x keep
// their relative accuracy.
INLINE Vec tanh(Vec x) {
  Int bits;
  memcpy(&bits, &x, sizeof bits);
  Int sign = bits & (int32_t)0x80000000, magnitude = bits & 0x7fffffff;
  Vec t;
  memcpy(&t, &magnitude, sizeof t);
  t = t > 10.0f ? splat(10.0f) : t;
  Vec scale, tail;
  split_exp(t + t, scale, tail);
  Vec less_one = fma(scale, tail, scale - 1.0f);
  Vec y = less_one / (less_one + 2.0f);
  memcpy(&bits, &y, sizeof bits);
  bits |= sign;
  memcpy(&y, &bits, sizeof y);
  return y;
}

}  // namespace LOOPWISE_ISA
