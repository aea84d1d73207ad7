// A linear layer with the cross-entropy of its logits, and all gradients. Classes are taken in
// groups: each thread computes the logits of its own groups for a chunk of rows and leaves their
// exponentials in memory; it comes back to them for the gradients, once the sums are known.
#pragma once

#include "memory.h"
#include "recurrence.h"
#include "split.h"
#include "surprisal.h"

namespace LOOPWISE_ISA {

constexpr int GROUP = 4 * VECTORS * WIDTH;  // classes; weights and logits of one stay near a core

// W: the type of packed numbers.
template <class W>
class Head {
 public:
  explicit Head(const loopwise::Head& problem)
      : h(problem), most_(h.rows < h.at_once ? h.rows : h.at_once),
        groups_((h.classes + GROUP - 1) / GROUP),
        numbers_((size_t)groups_ * (size_t)most_ * GROUP), scales_((size_t)groups_ * line()),
        sums_((size_t)groups_ * line()), chosen_(line()),
        x_store_(h.d_weight ? (size_t)((most_ + BLOCK_K - 1) / BLOCK_K) * x_size() : 0),
        shares_(h.d_x ? (size_t)(h.threads - 1) * (size_t)most_ * (size_t)h.features : 0) {}

  void run(int thread, int threads) {  // by the whole team
    NoDenormals guard;
    Unit<W> unit;
    Scratch scratch(*this);
#pragma omp barrier
    if (failed_) return;
    bool finite = true;
    for (int first = 0; first < h.rows; first += most_) {
      const Chunk c = {first, h.rows - first < most_ ? h.rows - first : most_};
      finite &= chunk(c, thread, threads, scratch);
    }
    if (!finite || !scratch.x.finite() || !scratch.d.finite() || !scratch.columns.finite())
      __atomic_store_n(&held_, false, __ATOMIC_RELAXED);
  }

  // Whether there was too little memory, and so nothing was computed.
  bool failed() const { return failed_; }

  // Whether all numbers that were met are finite.
  bool held() const { return held_; }

 private:
  struct Chunk {
    int first, rows;
  };

  struct Scratch {
    explicit Scratch(Head& head)
        : x(head.most_, head.h.features, head.failed_),
          d(head.h.d_x ? at_once(GROUP) : 0, GROUP, head.failed_), columns(head.failed_),
          weights(head.weights_size(), head.failed_), from((size_t)head.longest(), head.failed_),
          to((size_t)head.longest(), head.failed_) {}
    Inputs<W> x, d;
    Columns<W> columns;
    Buffer<W> weights;
    Buffer<const float*> from;
    Buffer<float*> to;
  };

  // Numbers of a group's line that has one for each row.
  size_t line() const { return (size_t)(most_ + WIDTH); }
  int longest() const { return most_ > GROUP ? most_ : GROUP; }
  size_t x_size() const { return Panels<W>::size(BLOCK_K, h.features, 1); }
  size_t weights_size() const {
    const size_t out = Panels<W>::size(h.features, GROUP, 1);
    const size_t back = h.d_x ? Panels<W>::size(GROUP, h.features, 1) : 0;
    return out > back ? out : back;
  }
  int classes_of(int group) const {
    const int left = h.classes - group * GROUP;
    return left < GROUP ? left : GROUP;
  }
  const float* weight_of(int group) const {
    return h.weight + (size_t)group * GROUP * (size_t)h.features;
  }
  float* numbers(int group, int row) const {
    return numbers_ + ((size_t)group * (size_t)most_ + (size_t)row) * GROUP;
  }

  bool chunk(const Chunk& c, int thread, int threads, Scratch& s) {
    bool finite = true;
    for (int r = 0; r < c.rows; r++) s.from[r] = x_of(c.first + r);
    s.x.take(s.from, c.rows, h.features);
    if (h.d_weight) finite &= pack_inputs(c, s);
#pragma omp for schedule(static)
    for (int g = 0; g < groups_; g++) finite &= exponentiate(g, c, s);
#pragma omp for schedule(static)
    for (int r = 0; r < c.rows; r += WIDTH)
      finite &= close(c, r, c.rows - r < WIDTH ? c.rows - r : WIDTH);
    if (!h.d_x && !h.d_weight && !h.d_bias) return finite;
    const size_t size = (size_t)c.rows * (size_t)h.features;
    float* const d_x = h.d_x ? h.d_x + (size_t)c.first * (size_t)h.features : nullptr;
    float* const share = thread && d_x ? shares_ + (size_t)(thread - 1) * size : d_x;
    if (d_x) memset(share, 0, sizeof(float) * size);
#pragma omp for schedule(static)
    for (int g = 0; g < groups_; g++) finite &= differentiate(g, c, share, s);
    if (!d_x) return finite;
#pragma omp for schedule(static)
    for (int r = 0; r < c.rows; r++)
      for (int k = 0; k < threads - 1; k++)
        for (size_t i = (size_t)r * (size_t)h.features; i < (size_t)(r + 1) * (size_t)h.features; i++)
          d_x[i] += shares_[(size_t)k * size + i];
    return finite;
  }

  const float* x_of(int row) const { return h.x + (size_t)row * (size_t)h.features; }

  // Rows of x as the right factor of the weights' gradient.
  bool pack_inputs(const Chunk& c, const Scratch& s) const {
    bool finite = true;
    for (int k = 0; k < c.rows; k += BLOCK_K) {
      const Panels<W> w = inputs(k, c);
#pragma omp for nowait
      for (int p = 0; p < w.panels(); p++) finite &= pack_rows(w, p, s.from + k);
    }
    return finite;
  }

  Panels<W> inputs(int k, const Chunk& c) const {
    const int depth = c.rows - k < BLOCK_K ? c.rows - k : BLOCK_K;
    return {x_store_ + (size_t)(k / BLOCK_K) * x_size(), depth, h.features, 1};
  }

  // A group's logits, less the largest of each row, exponentiated; and their sums.
  bool exponentiate(int group, const Chunk& c, Scratch& s) {
    const int n = classes_of(group);
    const Panels<W> w = {s.weights, h.features, n, 1};
    bool finite = true;
    for (int p = 0; p < w.panels(); p++) finite &= pack_outputs(w, p, weight_of(group));
    float bias[GROUP] = {};
    if (h.bias) memcpy(bias, h.bias + (size_t)group * GROUP, sizeof(float) * (size_t)n);
    for (int r = 0; r < c.rows; r++) s.to[r] = numbers(group, r);
    multiply(w, 0, w.panels(), c.rows, s.x, s.to, nullptr, BIAS, bias);
    float *scales = scales_ + (size_t)group * line(), *sums = sums_ + (size_t)group * line();
    for (int r = 0; r < c.rows; r++) {
      if (float* chosen = target_of(group, c, r)) chosen_[r] = *chosen;
      scales[r] = largest(s.to[r], n);
      sums[r] = exponentials(s.to[r], n, scales[r]);
    }
    return finite;
  }

  // The number of a row's target, where it is in this group.
  float* target_of(int group, const Chunk& c, int r) const {
    const int64_t at = h.targets[c.first + r] - (int64_t)group * GROUP;
    return at >= 0 && at < GROUP ? numbers(group, r) + at : nullptr;
  }

  // The surprisals of n rows from r on, and what makes their exponentials probabilities: zero where
  // nothing is asked.
  bool close(const Chunk& c, int r, int n) {
    Vec most = splat(-__builtin_inff()), total = {};
    for (int g = 0; g < groups_; g++) {
      Vec top = load(scales_ + (size_t)g * line() + r);
      most = top > most ? top : most;
    }
    for (int g = 0; g < groups_; g++) {
      float* scale = scales_ + (size_t)g * line() + r;
      Vec factor = exp_below(load(scale) - most);
      total = fma(factor, load(sums_ + (size_t)g * line() + r), total);
      store(scale, factor);
    }
    Vec inverse = 1.0f / total;
    bool finite = true;
    for (int i = 0; i < n; i++) {
      const int row = c.first + r + i;
      const bool counts = h.targets[row] >= 0;
      h.nats[row] = counts ? __builtin_logf(total[i]) + (most[i] - chosen_[r + i]) : 0;
      finite &= __builtin_isfinite(total[i]) && __builtin_isfinite(h.nats[row]);
      if (!counts) inverse[i] = 0;
    }
    for (int g = 0; g < groups_; g++) {
      float* scale = scales_ + (size_t)g * line() + r;
      store(scale, load(scale) * inverse);
    }
    return finite;
  }

  // Turns a group's exponentials into the gradient of its logits, and that into all others. What it
  // adds to that of x goes to the thread's share.
  bool differentiate(int group, const Chunk& c, float* share, Scratch& s) {
    const int n = classes_of(group), K = h.features;
    const size_t first = (size_t)group * GROUP, wide = (size_t)K;
    const float* scales = scales_ + (size_t)group * line();
    for (int r = 0; r < c.rows; r++) {
      float* row = numbers(group, r);
      for (int u = 0; u < n; u += WIDTH) store(row + u, load(row + u) * scales[r]);
      if (float* chosen = target_of(group, c, r)) *chosen -= 1;
      s.from[r] = row;
    }
    if (h.d_bias) add_rows(s.from, c.rows, n, h.d_bias + first, c.first > 0);
    for (int k = 0; h.d_weight && k < c.rows; k += BLOCK_K)
      multiply_columns(s.from + k, inputs(k, c), n, h.d_weight + first * wide,
                       c.first || k ? ADD : ZERO, s.columns);
    if (!h.d_x) return true;
    const float* weight[GROUP];
    for (int i = 0; i < n; i++) weight[i] = h.weight + (first + (size_t)i) * wide;
    const Panels<W> w = {s.weights, n, K, 1};
    bool finite = true;
    for (int p = 0; p < w.panels(); p++) finite &= pack_rows(w, p, weight);
    for (int r = 0; r < c.rows; r++) s.to[r] = share + (size_t)r * wide;
    const int most = at_once(GROUP);
    for (int r = 0; r < c.rows; r += most) {
      const int rows = c.rows - r < most ? c.rows - r : most;
      s.d.take(s.from + r, rows, n);
      multiply(w, 0, w.panels(), rows, s.d, s.to + r, nullptr, KEEP);
    }
    return finite;
  }

  static void add_rows(const float* const* rows, int count, int n, float* to, bool more) {
    if (!more) memset(to, 0, sizeof(float) * (size_t)n);
    for (int r = 0; r < count; r++)
      for (int u = 0; u < n; u++) to[u] += rows[r][u];
  }

  const loopwise::Head& h;
  const int most_, groups_;
  Buffer<float> numbers_, scales_, sums_, chosen_;
  Buffer<W> x_store_;
  Buffer<float> shares_;
  bool failed_ = false, held_ = true;
};

static bool head(const loopwise::Head& problem) {
  Head<Tiled> head(problem);
#pragma omp parallel num_threads(problem.threads) if (problem.threads > 1)
  head.run(omp_get_thread_num(), omp_get_num_threads());
  if (head.failed()) throw std::bad_alloc();
  return head.held();
}

}  // namespace LOOPWISE_ISA
