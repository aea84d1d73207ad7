// Softmax, cross-entropy and their gradient, a row of logits at a time.
#pragma once

#include "functions.h"
#include "memory.h"
#include "recurrence.h"

namespace LOOPWISE_ISA {

template <class T>
static float surprisal_of(T* logits, int classes, int64_t target, float scale, float* row) {
  Vec top = splat(-__builtin_inff());
  for (int i = 0; i < classes; i += WIDTH) {
    int n = classes - i < WIDTH ? classes - i : WIDTH;
    Vec v = load(logits + i, n);
    store(row + i, v, n);
    if (n < WIDTH)
      for (int k = n; k < WIDTH; k++) v[k] = v[0];
    top = v > top ? v : top;
  }
  float most = top[0];
  for (int k = 1; k < WIDTH; k++) most = top[k] > most ? top[k] : most;
  float chosen = row[target];
  Vec total = {};
  for (int i = 0; i < classes; i += WIDTH) {
    int n = classes - i < WIDTH ? classes - i : WIDTH;
    Vec scale_, tail, x = load(row + i, n) - most;
    x = x < -87.0f ? splat(-87.0f) : x;
    split_exp(x, scale_, tail);
    Vec e = fma(scale_, tail, scale_);
    if (n < WIDTH)
      for (int k = n; k < WIDTH; k++) e[k] = 0;
    store(row + i, e, n);
    total = total + e;
  }
  float all = sum(total), factor = scale / all;
  row[target] -= all;
  for (int i = 0; i < classes; i += WIDTH) {
    int n = classes - i < WIDTH ? classes - i : WIDTH;
    store(logits + i, load(row + i, n) * factor, n);
  }
  return __builtin_logf(all) + (most - chosen);
}

static void surprisal(const loopwise::Surprisal& s) {
  const size_t wide = ((size_t)s.classes + WIDTH + 15) & ~(size_t)15;
  Buffer<float> rows((size_t)s.threads * wide);
#pragma omp parallel num_threads(s.threads) if (s.threads > 1)
  {
    NoDenormals guard;
    float* row = rows + (size_t)omp_get_thread_num() * wide;
#pragma omp for schedule(static)
    for (int i = 0; i < s.rows; i++) {
      size_t at = (size_t)i * (size_t)s.classes;
      if (s.targets[i] < 0) {
        s.nats[i] = 0;
        size_t size = s.bfloat16 ? sizeof(uint16_t) : sizeof(float);
        memset((char*)s.logits + at * size, 0, (size_t)s.classes * size);
      } else if (s.bfloat16) {
        s.nats[i] = surprisal_of((uint16_t*)s.logits + at, s.classes, s.targets[i], s.scale, row);
      } else {
        s.nats[i] = surprisal_of((float*)s.logits + at, s.classes, s.targets[i], s.scale, row);
      }
    }
  }
}

}  // namespace LOOPWISE_ISA
