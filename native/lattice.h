// The probability that a transducer gives a transcript, and its gradient (Graves, "Sequence
// transduction with recurrent neural networks", 2012). From the end back: what remains to be said at
// each node, and which way on is how probable. From the start on: how probable it is that a way leads
// through a node, which needs no logarithms more and never cancels.
#pragma once

#include "memory.h"
#include "recurrence.h"

namespace LOOPWISE_ISA {

// What a gradient in float cannot show: smaller shares of the ways are zero.
constexpr double RARE = 1e-13;

// log(exp(a) + exp(b)), and the share that each has in the sum.
INLINE double log_sum(double a, double b, float* shares) {
  const double most = a > b ? a : b;
  const double e = a == b ? 1 : __builtin_exp(-__builtin_fabs(a - b));  // both may be infinite
  const double large = 1 / (1 + e), small = e * large;
  shares[0] = (float)(a > b ? large : small);
  shares[1] = (float)(a > b ? small : large);
  return most + __builtin_log1p(e);
}

// One row. `line` is room for as many numbers as it has places, plus one.
class Ways {
 public:
  Ways(const loopwise::Lattice& lattice, int row, double* line)
      : frames_((int)lattice.of.lengths[row]), labels_((int)lattice.of.target_lengths[row]),
        places_((size_t)lattice.of.places), line_(line) {
    const size_t before = (size_t)row * (size_t)lattice.of.T * places_ * 2;
    log_probs_ = lattice.log_probs + before;
    shares_ = lattice.d_log_probs ? lattice.d_log_probs + before : nullptr;
  }

  // The log probability of all ways. Leaves at each node the share of those that go on by blank, and
  // of those by a label.
  double remaining() {
    for (int u = 0; u <= labels_ + 1; u++) line_[u] = -__builtin_inf();
    line_[labels_] = 0;  // beyond the last frame: all has been said
    for (int t = frames_ - 1; t >= 0; t--)
      for (int u = labels_; u >= 0; u--) {
        const float* p = log_probs_ + node(t, u);
        float unread[2], *shares = shares_ ? shares_ + node(t, u) : unread;
        const double label = u < labels_ ? p[1] + line_[u + 1] : -__builtin_inf();
        line_[u] = log_sum(p[0] + line_[u], label, shares);
      }
    return line_[0];
  }

  // Shares of a node's ways become shares of all ways, less than zero: the gradient.
  void differentiate() {
    line_[0] = line_[0] > -__builtin_inf() ? 1 : __builtin_nan("");  // of no way there is no share
    for (int u = 1; u <= labels_; u++) line_[u] = 0;
    for (int t = 0; t < frames_; t++)
      for (int u = 0; u <= labels_; u++) {
        float* shares = shares_ + node(t, u);
        const double here = line_[u], blank = here * shares[0], label = here * shares[1];
        line_[u] = blank;  // arrives at the next frame
        line_[u + 1] += label;
        shares[0] = blank < RARE ? 0 : -(float)blank;
        shares[1] = label < RARE ? 0 : -(float)label;
      }
  }

 private:
  size_t node(int t, int u) const { return ((size_t)t * places_ + (size_t)u) * 2; }

  const int frames_, labels_;
  const size_t places_;
  const float* log_probs_;
  float* shares_;
  double* line_;
};

static void lattice(const loopwise::Lattice& l) {
  const size_t wide = (size_t)l.of.places + 1;
  Buffer<double> lines((size_t)l.threads * wide);
#pragma omp parallel num_threads(l.threads) if (l.threads > 1)
  {
    double* line = lines + (size_t)omp_get_thread_num() * wide;
#pragma omp for schedule(dynamic)
    for (int b = 0; b < l.of.B; b++) {
      Ways ways(l, b, line);
      l.nats[b] = (float)-ways.remaining();
      if (l.d_log_probs) ways.differentiate();
    }
  }
}

}  // namespace LOOPWISE_ISA
