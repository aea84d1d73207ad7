// The pointwise part of the cells, WIDTH units at a time; the equations stand in
// loopwise/nn/reference.py. Each function handles units u to u + n of one row at one step.
#pragma once

#include "functions.h"
#include "recurrence.h"

namespace LOOPWISE_ISA {

using loopwise::Recurrence;

// One row at one step.
struct Now {
  float* kept;           // [K*H], before activation
  const float* h;        // state before the step
  float* c;              // cell state, brought up to date
  float* cells;          // where c is recorded; may be null
  const float* keep_c;   // zoneout of c; may be null
  float* out;            // [H] the new h, before projection and zoneout
};

// keep * old + (1 - keep) * fresh: exactly one of them where keep is 0 or 1.
INLINE Vec zoned(Vec keep, Vec old, Vec fresh) { return fma(keep, old, (1.0f - keep) * fresh); }

INLINE void rnn(const Recurrence& p, const Now& now, int u, int n) {
  Vec a = load(now.kept + u, n);
  a = p.cell == loopwise::RNN_TANH ? tanh(a) : (a < 0.0f ? Vec{} : a);
  store(now.kept + u, a, n);
  store(now.out + u, a, n);
}

INLINE void gru(const Recurrence& p, const Now& now, int u, int n) {
  float *r = now.kept + u, *z = r + p.H, *a = z + p.H, *s = a + p.H;
  Vec reset = sigmoid(load(r, n)), update = sigmoid(load(z, n));
  Vec fresh = tanh(fma(reset, load(s, n), load(a, n)));
  store(r, reset, n);
  store(z, update, n);
  store(a, fresh, n);
  Vec h = load(now.h + u, n);
  store(now.out + u, fma(update, h - fresh, fresh), n);
}

// All of the LSTM up to the new cell state and the gate o. Returns the cell state before zoneout.
INLINE Vec lstm_cell(const Recurrence& p, const Now& now, int u, int n) {
  float *gi = now.kept + u, *gf = gi + p.H, *gg = gf + p.H, *go = gg + p.H;
  Vec i = load(gi, n), f = load(gf, n), o = load(go, n), c = load(now.c + u, n);
  if (p.peephole) {
    i = fma(load(p.peephole + u, n), c, i);
    f = fma(load(p.peephole + p.H + u, n), c, f);
  }
  i = sigmoid(i);
  f = sigmoid(f);
  Vec g = tanh(load(gg, n));
  Vec fresh = fma(f, c, i * g);
  if (p.peephole) o = fma(load(p.peephole + 2 * p.H + u, n), fresh, o);
  o = sigmoid(o);
  store(gi, i, n);
  store(gf, f, n);
  store(gg, g, n);
  store(go, o, n);
  if (now.keep_c) c = zoned(load(now.keep_c + u, n), c, fresh);
  else c = fresh;
  store(now.c + u, c, n);
  if (now.cells) store(now.cells + u, c, n);
  return fresh;
}

INLINE void lstm(const Recurrence& p, const Now& now, int u, int n) {
  Vec fresh = lstm_cell(p, now, u, n);
  store(now.out + u, load(now.kept + 3 * p.H + u, n) * tanh(fresh), n);
}

// Units u0 to u1.
INLINE void activate(const Recurrence& p, const Now& now, int u0, int u1) {
  for (int u = u0; u < u1; u += WIDTH) {
    int n = u1 - u < WIDTH ? u1 - u : WIDTH;
    if (p.cell == loopwise::LSTM) lstm(p, now, u, n);
    else if (p.cell == loopwise::GRU) gru(p, now, u, n);
    else rnn(p, now, u, n);
  }
}

// One row at one step, backwards.
struct Then {
  const float *kept, *h, *c;  // after the step: its gates; before it: h and c
  const float* keep_c;
  const float *d_kept, *d_cells;  // gradients of what was shown; may be null
  const float* d_out;  // of the new h, before zoneout and projection
  float* d_h;          // in: what goes past the cell; out: with the part through z
  float* d_c;          // in: of c after the step; out: of c before it
  float* d_gates;      // [K*H] of the gates before activation
  float* d_new_c;      // [H] of the c that the step computes; may be null
  float* out;          // [H] the new h before projection, recorded; may be null
};

INLINE Vec shown(const float* d, int at, int n) { return d ? load(d + at, n) : Vec{}; }

INLINE void rnn_back(const Recurrence& p, const Then& t, int u, int n) {
  Vec g = load(t.kept + u, n), d = load(t.d_out + u, n) + shown(t.d_kept, u, n);
  d = p.cell == loopwise::RNN_TANH ? d * fma(-g, g, splat(1)) : (g <= 0.0f ? Vec{} : d);  // of NaN it is passed on
  store(t.d_gates + u, d, n);
  if (t.out) store(t.out + u, g, n);
}

INLINE void gru_back(const Recurrence& p, const Then& t, int u, int n) {
  const int H = p.H;
  Vec r = load(t.kept + u, n), z = load(t.kept + H + u, n), a = load(t.kept + 2 * H + u, n);
  Vec s = load(t.kept + 3 * H + u, n), h = load(t.h + u, n), d = load(t.d_out + u, n);
  Vec da = fma(d, 1.0f - z, shown(t.d_kept, 2 * H + u, n)) * fma(-a, a, splat(1));
  Vec dz = fma(d, h - a, shown(t.d_kept, H + u, n)) * z * (1.0f - z);
  Vec dr = fma(da, s, shown(t.d_kept, u, n)) * r * (1.0f - r);
  store(t.d_h + u, fma(d, z, load(t.d_h + u, n)), n);
  store(t.d_gates + u, dr, n);
  store(t.d_gates + H + u, dz, n);
  store(t.d_gates + 2 * H + u, da, n);
  store(t.d_gates + 3 * H + u, da * r, n);
}

// The cell state before zoneout, as the step had it.
INLINE Vec fresh_cell(const Recurrence& p, const Then& t, int u, int n) {
  Vec i = load(t.kept + u, n), f = load(t.kept + p.H + u, n), g = load(t.kept + 2 * p.H + u, n);
  return fma(f, load(t.c + u, n), i * g);
}

// `squashed` is tanh of the cell state, normalised or not; d_fresh the gradient that reaches the
// cell state through it.
INLINE void lstm_back(const Recurrence& p, const Then& t, int u, int n, Vec squashed, Vec d_fresh) {
  const int H = p.H;
  Vec i = load(t.kept + u, n), f = load(t.kept + H + u, n), g = load(t.kept + 2 * H + u, n);
  Vec o = load(t.kept + 3 * H + u, n), c = load(t.c + u, n), d = load(t.d_out + u, n);
  Vec dc = load(t.d_c + u, n) + shown(t.d_cells, u, n), past = Vec{};
  if (t.keep_c) {
    Vec keep = load(t.keep_c + u, n);
    past = keep * dc;
    dc = dc - past;
  }
  Vec d_o = fma(d, squashed, shown(t.d_kept, 3 * H + u, n)) * o * (1.0f - o);
  dc = dc + d_fresh;
  if (p.peephole) dc = fma(d_o, load(p.peephole + 2 * H + u, n), dc);
  if (t.d_new_c) store(t.d_new_c + u, dc, n);
  Vec di = fma(dc, g, shown(t.d_kept, u, n)) * i * (1.0f - i);
  Vec df = fma(dc, c, shown(t.d_kept, H + u, n)) * f * (1.0f - f);
  Vec dg = fma(dc, i, shown(t.d_kept, 2 * H + u, n)) * fma(-g, g, splat(1));
  past = fma(dc, f, past);
  if (p.peephole) {
    past = fma(di, load(p.peephole + u, n), past);
    past = fma(df, load(p.peephole + H + u, n), past);
  }
  store(t.d_c + u, past, n);
  store(t.d_gates + u, di, n);
  store(t.d_gates + H + u, df, n);
  store(t.d_gates + 2 * H + u, dg, n);
  store(t.d_gates + 3 * H + u, d_o, n);
}

INLINE void activate_back(const Recurrence& p, const Then& t, int u, int n) {
  if (p.cell == loopwise::GRU) return gru_back(p, t, u, n);
  if (p.cell != loopwise::LSTM) return rnn_back(p, t, u, n);
  Vec squashed = tanh(fresh_cell(p, t, u, n)), o = load(t.kept + 3 * p.H + u, n);
  Vec d = load(t.d_out + u, n) * o;
  if (t.out) store(t.out + u, o * squashed, n);
  lstm_back(p, t, u, n, squashed, d * fma(-squashed, squashed, splat(1)));
}

}  // namespace LOOPWISE_ISA
