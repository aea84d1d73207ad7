// Softmax, cross-entropy and their gradient, a row of logits at a time.
#pragma once

#include "functions.h"
#include "memory.h"
#include "recurrence.h"

namespace LOOPWISE_ISA {

// The largest of n numbers; NaN is passed over.
static float largest(const float* x, int n) {
  Vec top = splat(-__builtin_inff());
  for (int i = 0; i < n; i += WIDTH) {
    const int lanes = n - i < WIDTH ? n - i : WIDTH;
    Vec v = load(x + i, lanes);
    for (int k = lanes; k < WIDTH; k++) v[k] = x[i];
    top = v > top ? v : top;
  }
  return largest(top);
}

// Each x becomes exp(x - most); their sum.
static float exponentials(float* x, int n, float most) {
  Vec total = {};
  for (int i = 0; i < n; i += WIDTH) {
    const int lanes = n - i < WIDTH ? n - i : WIDTH;
    Vec e = exp_below(load(x + i, lanes) - most);
    for (int k = lanes; k < WIDTH; k++) e[k] = 0;
    store(x + i, e, lanes);
    total = total + e;
  }
  return sum(total);
}

template <class T>
static float surprisal_of(T* logits, int classes, int64_t target, float scale, float* row) {
  for (int i = 0; i < classes; i += WIDTH) {
    const int n = classes - i < WIDTH ? classes - i : WIDTH;
    store(row + i, load(logits + i, n), n);
  }
  const float most = largest(row, classes), chosen = row[target];
  const float all = exponentials(row, classes, most), factor = scale / all;
  row[target] -= all;
  for (int i = 0; i < classes; i += WIDTH) {
    const int n = classes - i < WIDTH ? classes - i : WIDTH;
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
