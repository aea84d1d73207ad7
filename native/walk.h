// Who computes what, and which rows of a batch are alive when.
#pragma once

#include "recurrence.h"
#include "vector.h"

namespace LOOPWISE_ISA {

using loopwise::Recurrence;

// Which rows and which units of them a thread computes.
struct Share {
  int r0, r1;  // rows, by falling length
  int u0, u1;  // units
};

struct Plan {
  int threads;
  bool by_units;
};

static Plan make_plan(const Recurrence& p, double work) {
  int threads = p.threads;
  if (work < 1e6) threads = 1;
  bool plain = !p.norm_ih && p.P == p.H;
  double weights = 4.0 * p.H * p.P * loopwise::gates_of(p.cell);
  bool by_units = threads > 1 && plain && p.H >= 64 * threads &&
                  (p.B < threads || (weights > 1.5e6 && p.B < 12 * threads && false));
  if (by_units && weights < 5e5) return {1, false};
  if (!by_units && threads > p.B) threads = p.B;
  return {threads < 1 ? 1 : threads, by_units};
}

static Share share_of(const Recurrence& p, const Plan& plan, int thread, int granule) {
  if (!plan.by_units) {
    int r0 = (int)((int64_t)p.B * thread / plan.threads);
    int r1 = (int)((int64_t)p.B * (thread + 1) / plan.threads);
    return {r0, r1, 0, p.H};
  }
  int panels = (p.H + granule - 1) / granule;
  int u0 = (int)((int64_t)panels * thread / plan.threads) * granule;
  int u1 = (int)((int64_t)panels * (thread + 1) / plan.threads) * granule;
  return {0, p.B, u0, u1 < p.H ? u1 : p.H};
}

// Walks a batch: which rows are alive at a step, and where they begin.
struct Walk {
  const Recurrence& p;
  int time(int s) const { return p.reverse ? p.T - 1 - s : s; }
  int row(int r) const { return p.order ? p.order[r] : r; }
  int length(int r) const { return p.length ? p.length[r] : p.T; }
  // Rows of [r0, r1) alive at step s, counted from r0.
  int alive(int s, int r0, int r1) const {
    if (s < 0 || s >= p.T) return 0;
    int n = p.active ? p.active[time(s)] : p.B;
    n = n < r1 ? n : r1;
    return n > r0 ? n - r0 : 0;
  }
  bool first(int t, int r) const { return t == (p.reverse ? length(r) - 1 : 0); }
  // Whether a new sequence begins at t: where it ends when read in reverse.
  bool restarts(int t, int r) const {
    if (!p.reset) return false;
    if (!p.reverse) return p.reset[(size_t)t * p.B + row(r)];
    return t + 1 < length(r) && p.reset[(size_t)(t + 1) * p.B + row(r)];
  }
  size_t at(int t, int r) const { return (size_t)t * p.B + row(r); }
  // The state that step t of row r starts from: given, restarted, or the step before's.
  const float* h_before(int t, int r) const {
    if (restarts(t, r)) return p.restart_h + (size_t)row(r) * p.P;
    if (first(t, r)) return p.h0 + (size_t)row(r) * p.P;
    return p.y + at(p.reverse ? t + 1 : t - 1, r) * p.P;
  }
  const float* c_before(int t, int r) const {
    if (restarts(t, r)) return p.restart_c + (size_t)row(r) * p.H;
    if (first(t, r)) return p.c0 + (size_t)row(r) * p.H;
    return p.cells + at(p.reverse ? t + 1 : t - 1, r) * p.H;
  }
};

static double positions(const Recurrence& p) {
  if (!p.active) return (double)p.T * p.B;
  double n = 0;
  for (int t = 0; t < p.T; t++) n += p.active[t];
  return n;
}

INLINE void copy(float* to, const float* from, int u0, int u1) {
  memcpy(to + u0, from + u0, sizeof(float) * (size_t)(u1 - u0));
}

}  // namespace LOOPWISE_ISA
