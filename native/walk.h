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

constexpr int TILE_ROWS = 16;

// Whether products are made on tiles. Fewer rows or gates would leave them half empty. It is the size
// of the batch that decides, never the steps or the rows that are alive, so that neither a row's
// neighbours matter nor how a sequence is cut.
static bool takes_tiles(const Recurrence& p) {
#if defined(__AMX_BF16__)
  return p.B >= TILE_ROWS && loopwise::gates_of(p.cell) * p.H >= 128;
#else
  (void)p;
  return false;
#endif
}

struct Plan {
  int threads;
  bool by_units;
};

static double positions(const Recurrence& p) {
  if (!p.length) return (double)p.T * p.B;
  double n = 0;
  for (int r = 0; r < p.B; r++) n += p.length[r];
  return n;
}

// Operations of all products forwards.
static double work_of(const Recurrence& p) {
  return 2.0 * positions(p) * loopwise::gates_of(p.cell) * p.H * (p.I + p.P);
}

// Rows are shared out where that will do: threads then need not wait for each other. Units are
// where there are too few rows, or where the weights of all units would not stay near a core.
static Plan make_plan(const Recurrence& p, bool tiles) {
  const double ALONE = 1e6, SMALL = 5e5, NEAR = 1.2e6;  // operations; bytes; bytes
  int threads = p.threads;
  if (work_of(p) < ALONE || threads < 2) return {1, false};
  const double weights = (tiles ? 6.0 : 4.0) * p.H * p.P * loopwise::gates_of(p.cell);
  const int least = tiles ? TILE_ROWS * threads : threads;  // rows that keep all threads busy
  const bool separable = !p.norm_ih && p.P == p.H && p.H >= 64 * threads;
  if (separable && weights > (p.B < least ? SMALL : NEAR)) return {threads, true};
  return {threads < p.B ? threads : p.B, false};
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

// Deals the rows out like cards, so that each thread has long and short ones, by falling length.
// `order` and `length` are memory for the new lists.
static void deal(Recurrence& p, const Plan& plan, int32_t* order, int32_t* length) {
  if (!p.length || plan.by_units || plan.threads < 2) return;
  int rank = 0;
  for (int round = 0; rank < p.B; round++)
    for (int i = 0; i < plan.threads; i++) {
      Share s = share_of(p, plan, i, 1);
      if (s.r0 + round >= s.r1) continue;
      order[s.r0 + round] = p.order[rank];
      length[s.r0 + round] = p.length[rank++];
    }
  p.order = order;
  p.length = length;
}

// Walks a batch: which rows are alive at a step, and where they begin.
struct Walk {
  const Recurrence& p;
  int time(int s) const { return p.reverse ? p.T - 1 - s : s; }
  int row(int r) const { return p.order ? p.order[r] : r; }
  int length(int r) const { return p.length ? p.length[r] : p.T; }
  // How many of rows [r0, r1), whose lengths fall, are alive at step s.
  int alive(int s, int r0, int r1) const {
    if (s < 0 || s >= p.T) return 0;
    if (!p.length) return r1 - r0;
    int t = time(s), low = r0, high = r1;
    while (low < high) {
      int middle = (low + high) / 2;
      if (p.length[middle] > t) low = middle + 1;
      else high = middle;
    }
    return low - r0;
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

INLINE void copy(float* to, const float* from, int u0, int u1) {
  memcpy(to + u0, from + u0, sizeof(float) * (size_t)(u1 - u0));
}

}  // namespace LOOPWISE_ISA
