// A transducer's joiner at the nodes of a batch: the log probabilities of blank and of the next label,
// and all gradients. Logits are computed a few nodes at a time, and once more for the gradients.
// Threads share out nodes, or the weights' columns, so that their number changes no bit.
#pragma once

#include "functions.h"
#include "memory.h"
#include "recurrence.h"
#include "split.h"
#include "surprisal.h"

namespace LOOPWISE_ISA {

// W: the type of packed numbers.
template <class W>
class Joint {
 public:
  explicit Joint(const loopwise::Joiner& joiner)
      : j(joiner), J((size_t)j.features), V((size_t)j.classes), back_(j.d_log_probs),
        nodes_((size_t)j.of.T * (size_t)j.of.B * (size_t)j.of.places), count_(list_nodes()),
        rows_(fewer(at_once(j.features), back_ ? at_once(j.classes) : at_once(j.features))),
        most_(back_ ? fewer(count_, more(j.at_once, rows_)) : 0), out_(Panels<W>::size(j.features, j.classes, 1)),
        in_(reaches_in() ? Panels<W>::size(j.classes, j.features, 1) : 0),
        hidden_(back_ ? (size_t)most_ * J : 0), numbers_(back_ ? (size_t)most_ * V : 0),
        d_hidden_(reaches_in() ? (size_t)most_ * J : 0),
        factor_(j.d_weight ? Panels<W>::size(BLOCK_K, j.features, 1) : 0),
        hidden_rows_((size_t)most_), number_rows_((size_t)most_) {
    for (int i = 0; i < most_; i++) {
      hidden_rows_[i] = hidden_ + (size_t)i * J;
      number_rows_[i] = numbers_ + (size_t)i * V;
    }
  }

  void run() {  // by the whole team
    NoDenormals guard;
    Unit<W> unit;
    Scratch s(*this);
#pragma omp barrier
    if (failed_) return;
    bool finite = pack(s);
    if (back_) finite &= differentiate(s);
    else finite &= log_probs(s);
    if (!finite || !s.in.finite() || !s.d.finite() || !s.columns.finite())
      __atomic_store_n(&held_, false, __ATOMIC_RELAXED);
  }

  // Whether there was too little memory, and so nothing was computed.
  bool failed() const { return failed_; }

  // Whether all numbers that were met are finite, where the type of packed numbers asks for that.
  bool held() const { return held_; }

 private:
  static constexpr int SLICE = 64;  // columns that a thread takes at a time

  struct Node {
    int t, b, u;
  };

  struct Scratch {
    explicit Scratch(Joint& joint)
        : in(joint.rows_, joint.j.features, joint.failed_),
          d(joint.reaches_in() ? joint.rows_ : 0, joint.j.classes, joint.failed_),
          columns(joint.failed_), hidden(joint.back_ ? 0 : (size_t)joint.rows_ * joint.J, joint.failed_),
          numbers(joint.back_ ? 0 : (size_t)joint.rows_ * joint.V, joint.failed_),
          from((size_t)more(joint.rows_, joint.j.classes), joint.failed_),
          to((size_t)joint.rows_, joint.failed_) {}
    Inputs<W> in, d;
    Columns<W> columns;
    Buffer<float> hidden, numbers;
    Buffer<const float*> from;
    Buffer<float*> to;
  };

  static int fewer(int a, int b) { return a < b ? a : b; }
  static int more(int a, int b) { return a < b ? b : a; }
  bool reaches_in() const { return j.d_encoded || j.d_predicted; }

  // All nodes; backwards those that the loss depends on.
  int list_nodes() {
    int n = 0;
    for (int b = 0; b < j.of.B; b++)
      for (int t = 0; t < j.of.lengths[b]; t++)
        for (int u = 0; u <= j.of.target_lengths[b]; u++) {
          nodes_[n] = {t, b, u};
          const float* d = back_ ? back_ + entry(nodes_[n]) : nullptr;
          n += !d || d[0] != 0 || d[1] != 0;
        }
    return n;
  }

  // Where a node stands in a table.
  size_t entry(const Node& n) const {
    return (((size_t)n.b * (size_t)j.of.T + (size_t)n.t) * (size_t)j.of.places + (size_t)n.u) * 2;
  }
  size_t encoded_at(const Node& n) const { return ((size_t)n.t * (size_t)j.of.B + (size_t)n.b) * J; }
  size_t predicted_at(const Node& n) const { return ((size_t)n.u * (size_t)j.of.B + (size_t)n.b) * J; }

  // The class of the next label, or blank where all has been said.
  int64_t label(const Node& n) const {
    return n.u < j.of.target_lengths[n.b] ? j.of.targets[(size_t)n.u * (size_t)j.of.B + (size_t)n.b] : 0;
  }

  Panels<W> out() const { return {out_, j.features, j.classes, 1}; }
  Panels<W> in() const { return {in_, j.classes, j.features, 1}; }

  bool pack(Scratch& s) const {
    bool finite = true;
#pragma omp for
    for (int p = 0; p < out().panels(); p++) finite &= pack_outputs(out(), p, j.weight);
    if (!reaches_in()) return finite;
    for (size_t v = 0; v < V; v++) s.from[v] = j.weight + v * J;
#pragma omp for
    for (int p = 0; p < in().panels(); p++) finite &= pack_rows(in(), p, s.from);
    return finite;
  }

  bool log_probs(Scratch& s) const {
    bool finite = true;
#pragma omp for schedule(static)
    for (int first = 0; first < count_; first += rows_) {
      const int n = fewer(rows_, count_ - first);
      join(first, n, s.hidden, s.numbers, s);
      for (int i = 0; i < n; i++) {
        const Node& node = nodes_[first + i];
        float *row = s.numbers + (size_t)i * V, *to = j.log_probs + entry(node);
        const int64_t next = label(node);
        const float most = largest(row, j.classes), blank = row[0], chosen = row[next];
        const float all = __builtin_logf(exponentials(row, j.classes, most));
        to[0] = blank - most - all;
        if (next) to[1] = chosen - most - all;
        finite &= __builtin_isfinite(blank - most) && __builtin_isfinite(chosen - most - all);
      }
    }
    return finite;
  }

  // What the joiner feeds to its linear layer, and the logits, of n nodes.
  void join(int first, int n, float* hidden, float* logits, Scratch& s) const {
    for (int i = 0; i < n; i++) {
      const Node& node = nodes_[first + i];
      const float *a = j.encoded + encoded_at(node), *b = j.predicted + predicted_at(node);
      float* to = hidden + (size_t)i * J;
      for (int k = 0; k < j.features; k += WIDTH) {
        const int lanes = fewer(WIDTH, j.features - k);
        store(to + k, tanh(load(a + k, lanes) + load(b + k, lanes)), lanes);
      }
      s.from[i] = to;
      s.to[i] = logits + (size_t)i * V;
    }
    s.in.take(s.from, n, j.features);
    if (j.bias) {
      for (int i = 0; i < n; i++) memcpy(s.to[i], j.bias, sizeof(float) * V);
    }
    multiply(out(), 0, out().panels(), n, s.in, s.to, nullptr, j.bias ? ADD : ZERO);
  }

  bool differentiate(Scratch& s) const {
    clear(j.d_encoded, (size_t)j.of.T * (size_t)j.of.B * J);
    clear(j.d_predicted, (size_t)j.of.places * (size_t)j.of.B * J);
    clear(j.d_weight, V * J);
    clear(j.d_bias, V);
    bool finite = true;
    for (int first = 0; first < count_; first += most_) {
      const int n = fewer(most_, count_ - first);
#pragma omp for schedule(static)
      for (int i = 0; i < n; i += rows_) differentiate_logits(first, i, fewer(rows_, n - i), s);
      if (reaches_in()) spread(first, n);
      if (j.d_bias) add_up(n);
      if (j.d_weight) finite &= differentiate_weight(n, s);
    }
    return finite;
  }

  static void clear(float* numbers, size_t count) {
#pragma omp single
    if (numbers) memset(numbers, 0, sizeof(float) * count);
  }

  // From node i of a chunk on: gradients of logits, and of what the linear layer was fed.
  void differentiate_logits(int first, int i, int n, Scratch& s) const {
    float *hidden = hidden_ + (size_t)i * J, *numbers = numbers_ + (size_t)i * V;
    join(first + i, n, hidden, numbers, s);
    for (int r = 0; r < n; r++) {
      const Node& node = nodes_[first + i + r];
      const int64_t next = label(node);
      const float *d = back_ + entry(node), chosen = next ? d[1] : 0;
      float* row = numbers + (size_t)r * V;
      const float all = exponentials(row, j.classes, largest(row, j.classes));
      const float factor = -(d[0] + chosen) / all;
      for (int v = 0; v < j.classes; v += WIDTH) {
        const int lanes = fewer(WIDTH, j.classes - v);
        store(row + v, load(row + v, lanes) * factor, lanes);
      }
      row[0] += d[0];
      row[next] += chosen;
    }
    if (!reaches_in()) return;
    for (int r = 0; r < n; r++) {
      s.from[r] = numbers + (size_t)r * V;
      s.to[r] = d_hidden_ + (size_t)(i + r) * J;
    }
    s.d.take(s.from, n, j.classes);
    multiply(in(), 0, in().panels(), n, s.d, s.to, nullptr, ZERO);
    for (size_t k = 0; k < (size_t)n * J; k += WIDTH) {
      const size_t left = (size_t)n * J - k;
      const int lanes = left < WIDTH ? (int)left : WIDTH;
      float* d = s.to[0] + k;
      const Vec h = load(hidden + k, lanes);
      store(d, load(d, lanes) * (1.0f - h * h), lanes);
    }
  }

  // Adds the gradients at nodes to those of the frames and places that meet there.
  void spread(int first, int n) const {
#pragma omp for schedule(static)
    for (int k = 0; k < j.features; k += SLICE) {
      const int wide = fewer(SLICE, j.features - k);
      for (int i = 0; i < n; i++) {
        const Node& node = nodes_[first + i];
        const float* d = d_hidden_ + (size_t)i * J + k;
        if (j.d_encoded) add(j.d_encoded + encoded_at(node) + k, d, wide);
        if (j.d_predicted) add(j.d_predicted + predicted_at(node) + k, d, wide);
      }
    }
  }

  // In blocks, each with a sum of its own, as `outer` has them.
  void add_up(int n) const {
#pragma omp for schedule(static)
    for (int v = 0; v < j.classes; v += SLICE) {
      const int wide = fewer(SLICE, j.classes - v);
      for (int first = 0; first < n; first += BLOCK_K) {
        float sum[SLICE] = {};
        for (int i = first; i < n && i < first + BLOCK_K; i++) add(sum, number_rows_[i] + v, wide);
        add(j.d_bias + v, sum, wide);
      }
    }
  }

  static void add(float* to, const float* from, int n) {
    for (int i = 0; i < n; i += WIDTH) {
      const int lanes = fewer(WIDTH, n - i);
      store(to + i, load(to + i, lanes) + load(from + i, lanes), lanes);
    }
  }

  bool differentiate_weight(int n, Scratch& s) const {
    const Factor<W> factor = {hidden_rows_, j.features, j.d_weight, factor_};
    return outer(number_rows_, j.classes, n, &factor, 1, s.columns, ADD);
  }

  const loopwise::Joiner& j;
  const size_t J, V;
  const float* const back_;
  Buffer<Node> nodes_;
  const int count_, rows_, most_;
  Buffer<W> out_, in_;
  Buffer<float> hidden_, numbers_, d_hidden_;
  Buffer<W> factor_;
  Buffer<const float*> hidden_rows_, number_rows_;
  bool failed_ = false, held_ = true;
};

template <class W>
static bool join_by(const loopwise::Joiner& asked) {
  Joint<W> joint(asked);
#pragma omp parallel num_threads(asked.threads) if (asked.threads > 1)
  joint.run();
  if (joint.failed()) throw std::bad_alloc();
  return joint.held();
}

// Numbers that are not finite have no parts for tiles, and are left to vectors.
static void joiner(const loopwise::Joiner& asked) {
  if (!join_by<Tiled>(asked) && sizeof(Tiled) != sizeof(float)) join_by<float>(asked);
}

}  // namespace LOOPWISE_ISA
