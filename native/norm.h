// Layer norm of one row.
#pragma once

#include "vector.h"

namespace LOOPWISE_ISA {

constexpr float NORM_EPSILON = 1e-5f;

struct Moments {
  float mean, scale;
};

INLINE Moments moments(const float* x, int n) {
  Vec total = {};
  for (int u = 0; u < n; u += WIDTH) total = total + load(x + u, n - u < WIDTH ? n - u : WIDTH);
  float mean = sum(total) / (float)n;
  Vec square = {};
  for (int u = 0; u < n; u += WIDTH) {
    int lanes = n - u < WIDTH ? n - u : WIDTH;
    Vec v = load(x + u, lanes) - mean;
    for (int i = lanes; i < WIDTH; i++) v[i] = 0;
    square = fma(v, v, square);
  }
  return {mean, 1.0f / __builtin_sqrtf(sum(square) / (float)n + NORM_EPSILON)};
}

INLINE Vec normed(const float* x, Moments m, const float* gain, const float* bias, int u, int n) {
  Vec v = (load(x + u, n) - m.mean) * m.scale * load(gain + u, n);
  return bias ? v + load(bias + u, n) : v;
}

// The gradient of layer norm: d, of its result, becomes that of x. Sums for gain and bias go on.
INLINE void norm_back(const float* x, const float* gain, float* d, int n, float* d_gain,
                      float* d_bias) {
  Moments m = moments(x, n);
  Vec direct = {}, along = {};
  for (int u = 0; u < n; u += WIDTH) {
    int lanes = n - u < WIDTH ? n - u : WIDTH;
    Vec g = load(d + u, lanes), hat = (load(x + u, lanes) - m.mean) * m.scale;
    store(d_gain + u, fma(g, hat, load(d_gain + u, lanes)), lanes);
    if (d_bias) store(d_bias + u, g + load(d_bias + u, lanes), lanes);
    g = g * load(gain + u, lanes);
    direct = direct + g;
    along = fma(g, hat, along);
  }
  float a = sum(direct) / (float)n, b = sum(along) / (float)n;
  for (int u = 0; u < n; u += WIDTH) {
    int lanes = n - u < WIDTH ? n - u : WIDTH;
    Vec g = load(d + u, lanes) * load(gain + u, lanes);
    Vec hat = (load(x + u, lanes) - m.mean) * m.scale;
    store(d + u, (g - a - hat * b) * m.scale, lanes);
  }
}

}  // namespace LOOPWISE_ISA
