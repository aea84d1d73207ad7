// The parts of a step that training, inference and streaming share.
#pragma once

#include "cells.h"
#include "norm.h"
#include "product.h"

namespace LOOPWISE_ISA {

using loopwise::GRU;

// How far the gates of a row lie apart. The GRU's third share of the state stays by itself, in a
// fourth place, since r gates it.
struct Far {
  ptrdiff_t gates[4];
  explicit Far(ptrdiff_t H, int cell = loopwise::LSTM)
      : gates{0, H, cell == GRU ? 3 * H : 2 * H, 3 * H} {}
};

static inline size_t bias_size(const Recurrence& p) {
  int gates = loopwise::gates_of(p.cell);
  Packed like = {nullptr, 1, p.H, gates};
  return (size_t)like.panels() * (size_t)like.vectors() * WIDTH;
}

// Both biases in panels, as products start from them.
static inline void fill_bias(const Recurrence& p, float* to) {
  int G = loopwise::gates_of(p.cell);
  Packed like = {nullptr, 1, p.H, G};
  for (int panel = 0; panel < like.panels(); panel++)
    for (int v = 0; v < like.vectors(); v++)
      for (int lane = 0; lane < WIDTH; lane++, to++) {
        int unit = panel * like.panel_units() + (G > 1 ? 0 : v * WIDTH) + lane;
        int at = (G > 1 ? v * p.H : 0) + unit;
        bool own = p.cell == GRU && v == 2;  // see `start_share`
        *to = unit >= p.H ? 0 : (p.b_ih ? p.b_ih[at] : 0) + (p.b_hh && !own ? p.b_hh[at] : 0);
      }
}

// The GRU's share of the state in n starts from its own bias.
INLINE void start_share(const Recurrence& p, float* kept, int u0, int u1) {
  float* to = kept + 3 * p.H;
  for (int u = u0; u < u1; u++) to[u] = p.b_hh ? p.b_hh[2 * p.H + u] : 0;
}

// A cell with layer norm of both shares and of the cell state, which needs whole rows.
INLINE void normed_cell(const Recurrence& p, const float* x, const float* h, const Now& now) {
  float* to = now.kept;
  int n = loopwise::gates_of(p.cell) * p.H, both = p.cell == GRU ? 2 * p.H : n;
  Moments mx = moments(x, n), mh = moments(h, n);
  for (int u = 0; u < both; u += WIDTH) {
    int lanes = both - u < WIDTH ? both - u : WIDTH;
    Vec a = normed(x, mx, p.norm_ih, p.b_ih, u, lanes);
    store(to + u, a + normed(h, mh, p.norm_hh, p.b_hh, u, lanes), lanes);
  }
  for (int u = both; u < n; u += WIDTH) {
    int lanes = n - u < WIDTH ? n - u : WIDTH;
    store(to + u, normed(x, mx, p.norm_ih, p.b_ih, u, lanes), lanes);
    store(to + p.H + u, normed(h, mh, p.norm_hh, p.b_hh, u, lanes), lanes);
  }
  if (p.cell != loopwise::LSTM) return activate(p, now, 0, p.H);
  for (int u = 0; u < p.H; u += WIDTH) {
    int lanes = p.H - u < WIDTH ? p.H - u : WIDTH;
    store(now.out + u, lstm_cell(p, now, u, lanes), lanes);
  }
  Moments mc = moments(now.out, p.H);
  for (int u = 0; u < p.H; u += WIDTH) {
    int lanes = p.H - u < WIDTH ? p.H - u : WIDTH;
    Vec c = normed(now.out, mc, p.norm_c, p.norm_c_bias, u, lanes);
    store(now.out + u, load(to + 3 * p.H + u, lanes) * tanh(c), lanes);
  }
}

// The state after a step: the new h, or by zoneout a part of the old one.
INLINE void finish(const float* fresh, const float* old, const float* keep, float* to, float* y,
                   int u0, int u1) {
  for (int u = u0; u < u1; u += WIDTH) {
    int n = u1 - u < WIDTH ? u1 - u : WIDTH;
    Vec v = load(fresh + u, n);
    if (keep) v = zoned(load(keep + u, n), load(old + u, n), v);
    store(to + u, v, n);
    store(y + u, v, n);
  }
}

}  // namespace LOOPWISE_ISA
