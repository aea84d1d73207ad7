// Deployed models, step by step: weights are packed once, states live with the caller, and nothing
// is allocated. A stream's results do not depend on which others share a call, nor on how its
// steps are divided among calls.
#pragma once

#include "step.h"

namespace LOOPWISE_ISA {

using loopwise::StreamCall;
using loopwise::StreamLayer;
using loopwise::StreamModel;

static size_t packed_size(int K, int units, int gates, int precision) {
  size_t n = Packed::size(K, units, gates);
  return n * (precision == loopwise::BFLOAT16 ? sizeof(uint16_t) : sizeof(float));
}

template <class W>
static void pack_as(const float* w, int K, int units, int gates, void* to) {
  Panels<W> panels = {(W*)to, K, units, gates};
  for (int i = 0; i < panels.panels(); i++) pack_outputs(panels, i, w);
}

static void pack(const float* w, int K, int units, int gates, int precision, void* to) {
  if (precision == loopwise::BFLOAT16) return pack_as<uint16_t>(w, K, units, gates, to);
  pack_as<float>(w, K, units, gates, to);
}

// Sizes of one position's scratch, and the arrays themselves.
struct Bench {
  size_t wide, share, out, kept;

  explicit Bench(const StreamModel& m) : wide(0), share(0), out(0), kept(0) {
    for (int i = 0; i < m.layers; i++) {
      const Recurrence& p = m.layer[i].p;
      size_t H = (size_t)p.H, G = (size_t)loopwise::gates_of(p.cell);
      grow(wide, (size_t)p.P);
      grow(out, H);
      grow(kept, (size_t)loopwise::kept_of(p.cell) * H);
      if (p.norm_ih) grow(share, G * H);
    }
  }
  static void grow(size_t& size, size_t n) {
    n = (n + 15) & ~(size_t)15;
    if (n > size) size = n;
  }
  // Two rows of activations, in turn; both shares; gates; what a projection sees; two pointers.
  size_t bytes(size_t positions) const {
    return positions * (sizeof(float) * (2 * wide + 2 * share + kept + out) + 2 * sizeof(float*)) + 64;
  }
};

static size_t stream_scratch(const StreamModel& m, int positions) {
  return Bench(m).bytes((size_t)positions);
}

template <class W>
class Stream {
 public:
  Stream(const StreamModel& model, const StreamCall& call)
      : m(model), c(call), bench(model), count((size_t)call.steps * (size_t)call.rows) {
    float* at = (float*)c.scratch;
    for (float*& side : wide) side = take(at, bench.wide);
    share_x = take(at, bench.share);
    share_h = take(at, bench.share);
    kept = take(at, bench.kept);
    out = take(at, bench.out);
    a = (const float**)at;
    to = (float**)(a + count);
  }

  void run() {
    for (int i = 0; i < m.layers; i++) layer(m.layer[i], i);
    if (!m.head) return;
    int inputs = m.layer[m.layers - 1].p.P;
    Panels<W> head = {(W*)m.head, inputs, m.outputs, 1};
    multiply(head, 0, head.panels(), (int)count, c.x, c.y, nullptr, BIAS, m.head_bias);
  }

 private:
  float* take(float*& at, size_t size) const {
    float* mine = at;
    at += size * count;
    return mine;
  }

  void layer(const StreamLayer& l, int number) {
    const Recurrence& p = l.p;
    const bool norm = p.norm_ih != nullptr, last = number == m.layers - 1 && !m.head;
    const int G = loopwise::gates_of(p.cell), rows = (int)count;
    for (size_t i = 0; i < count; i++) {
      to[i] = norm ? share_x + i * bench.share : kept + i * bench.kept;
      if (p.cell == GRU && !norm) start_share(p, to[i], 0, p.H);
    }
    Panels<W> ih = {(W*)l.ih, p.I, p.H, G};
    multiply(ih, 0, ih.panels(), rows, c.x, to, Far(p.H).gates, norm ? ZERO : BIAS, l.bias);
    for (int step = 0; step < c.steps; step++) take_step(l, step, last ? nullptr : wide[number & 1]);
    for (size_t i = 0; i < count; i++) {
      float* y = last ? c.y[i] : wide[number & 1] + i * bench.wide;
      if (l.residual)
        for (int u = 0; u < p.P; u++) y[u] += c.x[i][u];
      c.x[i] = y;
    }
  }

  void take_step(const StreamLayer& l, int step, float* into) {
    const Recurrence& p = l.p;
    const bool norm = p.norm_ih != nullptr, projected = p.P != p.H;
    const int G = loopwise::gates_of(p.cell);
    const size_t first = (size_t)step * (size_t)c.rows;
    for (int r = 0; r < c.rows; r++) {
      size_t i = first + (size_t)r;
      a[r] = c.states[r] + l.h;
      to[r] = norm ? share_h + i * bench.share : kept + i * bench.kept;
    }
    Panels<W> hh = {(W*)l.hh, p.P, p.H, G};
    multiply(hh, 0, hh.panels(), c.rows, a, to, norm ? Far(p.H).gates : Far(p.H, p.cell).gates,
             norm ? ZERO : KEEP);
    for (int r = 0; r < c.rows; r++) {
      size_t i = first + (size_t)r;
      Now now = {kept + i * bench.kept, c.states[r] + l.h, c.states[r] + l.c, nullptr, l.keep_c,
                 out + (size_t)r * bench.out};
      if (norm) normed_cell(p, share_x + i * bench.share, share_h + i * bench.share, now);
      else activate(p, now, 0, p.H);
      a[r] = now.out;
      to[r] = into ? into + i * bench.wide : c.y[i];
    }
    if (projected) {
      Panels<W> hr = {(W*)l.hr, p.H, p.P, 1};
      multiply(hr, 0, hr.panels(), c.rows, a, to, nullptr, ZERO);
    }
    for (int r = 0; r < c.rows; r++) {
      float* h = c.states[r] + l.h;
      finish(projected ? to[r] : a[r], h, l.keep_h, h, to[r], 0, p.P);
    }
  }

  const StreamModel& m;
  const StreamCall& c;
  Bench bench;
  size_t count;
  float *wide[2], *share_x, *share_h, *kept, *out;
  const float** a;
  float** to;
};

static void stream(const StreamModel& m, const StreamCall& c) {
  NoDenormals guard;
  if (m.precision == loopwise::BFLOAT16) Stream<uint16_t>(m, c).run();
  else Stream<float>(m, c).run();
}

}  // namespace LOOPWISE_ISA
