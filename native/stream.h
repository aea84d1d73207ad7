// Deployed models, step by step: weights are packed once, states live with the caller, and nothing
// is allocated. A stream's results do not depend on which others share a call, nor on how its
// steps are divided among calls.
#pragma once

#include "step.h"

namespace LOOPWISE_ISA {

using loopwise::StreamCall;
using loopwise::StreamLayer;
using loopwise::StreamModel;

// Columns of a packed matrix, unused lanes included.
static size_t packed_columns(int units, int gates) {
  Packed like = {nullptr, 1, units, gates};
  return (size_t)like.panels() * (size_t)like.vectors() * WIDTH;
}

static size_t packed_size(int K, int units, int gates, int precision) {
  if (precision == loopwise::INT8)
    return Panels<Four>::size(quarters(K), units, gates) * sizeof(Four) +
           packed_columns(units, gates) * (sizeof(float) + sizeof(int32_t));
  return Packed::size(K, units, gates) *
         (precision == loopwise::BFLOAT16 ? sizeof(uint16_t) : sizeof(float));
}

// Eight-bit weights, and behind them the scale and the sum of each column.
struct Quantised {
  Panels<Four> w;
  float* column;
  int32_t* sums;

  Quantised(const void* at, int K, int units, int gates)
      : w{(Four*)at, quarters(K), units, gates},
        column((float*)(w.data + Panels<Four>::size(quarters(K), units, gates))),
        sums((int32_t*)(column + packed_columns(units, gates))) {}
};

static int8_t nearest(float x) { return (int8_t)__builtin_lrintf(x); }

static void pack_quantised(const float* from, int K, int units, int gates, void* to) {
  Quantised q(to, K, units, gates);
  memset(to, 0, packed_size(K, units, gates, loopwise::INT8));
  for (int p = 0; p < q.w.panels(); p++) {
    int n = q.w.vectors_of(p);
    for (int v = 0; v < n; v++)
      for (int i = 0; i < q.w.lanes(p, v); i++) {
        size_t column = ((size_t)p * (size_t)q.w.vectors() + (size_t)v) * WIDTH + (size_t)i;
        const float* row = from + (q.w.first(p, v) + (size_t)i) * (size_t)K;
        float most = 0;
        for (int k = 0; k < K; k++) most = __builtin_fmaxf(most, __builtin_fabsf(row[k]));
        float scale = most > 0 ? most / 127 : 1;
        int32_t sum = 0;
        for (int k = 0; k < K; k++) {
          int8_t weight = nearest(row[k] / scale);
          Four* line = q.w.panel(p) + ((size_t)(k / 4) * (size_t)n + (size_t)v) * WIDTH + i;
          memcpy((char*)&line->bytes + k % 4, &weight, 1);
          sum += weight;
        }
        q.column[column] = scale;
        q.sums[column] = OFFSET * sum;
      }
  }
}

template <class W>
static void pack_as(const float* w, int K, int units, int gates, void* to) {
  Panels<W> panels = {(W*)to, K, units, gates};
  for (int i = 0; i < panels.panels(); i++) pack_outputs(panels, i, w);
}

static void pack(const float* w, int K, int units, int gates, int precision, void* to) {
  if (precision == loopwise::INT8) return pack_quantised(w, K, units, gates, to);
  if (precision == loopwise::BFLOAT16) return pack_as<uint16_t>(w, K, units, gates, to);
  pack_as<float>(w, K, units, gates, to);
}

// A row of inputs as bytes, OFFSET too large. Numbers that cannot exceed 1 have a fixed scale; so
// no row depends on another.
static float quantise(const float* x, int K, bool bounded, uint8_t* to) {
  float most = bounded ? 1 : 0;
  if (!bounded) {
    Vec top = {};
    for (int k = 0; k < K; k += WIDTH) {
      Vec v = load(x + k, K - k < WIDTH ? K - k : WIDTH);
      v = v < 0.0f ? -v : v;
      top = v > top ? v : top;
    }
    for (int i = 0; i < WIDTH; i++) most = top[i] > most ? top[i] : most;
  }
  float scale = most > 0 ? most / 127 : 1, inverse = 1 / scale;
  for (int k = 0; k < K; k += WIDTH) {
    int n = K - k < WIDTH ? K - k : WIDTH;
    // 1.5 * 2^23 leaves the nearest integer in the low bits
    Vec v = fma(load(x + k, n), splat(inverse), splat(12582912.0f + OFFSET));
    Int bits;
    memcpy(&bits, &v, sizeof bits);
    Bytes bytes = __builtin_convertvector(bits & 255, Bytes);
    memcpy(to + k, &bytes, (size_t)n);
  }
  return scale;
}

// Sizes of one position's scratch, and the arrays themselves.
struct Bench {
  size_t wide, share, out, kept, bytes_;

  explicit Bench(const StreamModel& m) : wide(0), share(0), out(0), kept(0), bytes_(0) {
    for (int i = 0; i < m.layers; i++) {
      const Recurrence& p = m.layer[i].p;
      size_t H = (size_t)p.H, G = (size_t)loopwise::gates_of(p.cell);
      grow(wide, (size_t)p.P);
      grow(out, H);
      grow(kept, (size_t)loopwise::kept_of(p.cell) * H);
      if (p.norm_ih) grow(share, G * H);
      if (m.precision == loopwise::INT8) grow(bytes_, (size_t)quarters(widest(p)));
    }
  }
  static int widest(const Recurrence& p) { return p.I > p.H ? p.I : p.H; }
  static void grow(size_t& size, size_t n) {
    n = (n + 15) & ~(size_t)15;
    if (n > size) size = n;
  }
  // Two rows of activations, in turn; both shares; gates; what a projection sees; a row as bytes
  // and its scale; three pointers.
  size_t bytes(size_t positions) const {
    size_t floats = 2 * wide + 2 * share + kept + out + bytes_ + 16;
    return positions * (sizeof(float) * floats + 3 * sizeof(float*)) + 64;
  }
};

static size_t stream_scratch(const StreamModel& m, int positions) {
  return Bench(m).bytes((size_t)positions);
}

template <class W>
constexpr bool is_four = false;
template <>
constexpr bool is_four<Four> = true;

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
    bytes = (int32_t*)take(at, bench.bytes_);
    scales = take(at, 16);
    a = (const float**)at;
    to = (float**)(a + count);
    fours = (const int32_t**)(to + count);
  }

  void run() {
    for (int i = 0; i < m.layers; i++) layer(m.layer[i], i);
    if (!m.head) return;
    const StreamLayer& last = m.layer[m.layers - 1];
    times(m.head, last.p.P, m.outputs, 1, (int)count, c.x, c.y, nullptr, BIAS, m.head_bias,
          bounded(last) && !last.residual);
  }

 private:
  float* take(float*& at, size_t size) const {
    float* mine = at;
    at += size * count;
    return mine;
  }

  // Whether no state of a layer exceeds 1.
  static bool bounded(const StreamLayer& l) {
    return l.p.P == l.p.H && l.p.cell != loopwise::RNN_RELU;
  }

  void times(const void* w, int K, int units, int gates, int rows, const float* const* x,
             float* const* y, const ptrdiff_t* far, Start start, const float* bias, bool within) {
    if constexpr (is_four<W>) {
      Quantised q(w, K, units, gates);
      for (int r = 0; r < rows; r++) {
        int32_t* to = bytes + (size_t)r * bench.bytes_;
        scales[r] = quantise(x[r], K, within, (uint8_t*)to);
        fours[r] = to;
      }
      multiply(q.w, 0, q.w.panels(), rows, fours, y, far, start, bias,
               Scales{q.column, q.sums, scales});
    } else {
      (void)within;
      Panels<W> panels = {(W*)w, K, units, gates};
      multiply(panels, 0, panels.panels(), rows, x, y, far, start, bias);
    }
  }

  void layer(const StreamLayer& l, int number) {
    const Recurrence& p = l.p;
    const bool norm = p.norm_ih != nullptr, last = number == m.layers - 1 && !m.head;
    const int G = loopwise::gates_of(p.cell), rows = (int)count;
    for (size_t i = 0; i < count; i++) {
      to[i] = norm ? share_x + i * bench.share : kept + i * bench.kept;
      if (p.cell == GRU && !norm) start_share(p, to[i], 0, p.H);
    }
    times(l.ih, p.I, p.H, G, rows, c.x, to, Far(p.H).gates, norm ? ZERO : BIAS, l.bias,
          number > 0 && bounded(m.layer[number - 1]) && !m.layer[number - 1].residual);
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
    times(l.hh, p.P, p.H, G, c.rows, a, to, norm ? Far(p.H).gates : Far(p.H, p.cell).gates,
          norm ? ZERO : KEEP, NO_BIAS, bounded(l));
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
      times(l.hr, p.H, p.P, 1, c.rows, a, to, nullptr, ZERO, NO_BIAS,
            p.cell != loopwise::RNN_RELU);
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
  float *wide[2], *share_x, *share_h, *kept, *out, *scales;
  int32_t* bytes;
  const float** a;
  float** to;
  const int32_t** fours;
};

static void stream(const StreamModel& m, const StreamCall& c) {
  NoDenormals guard;
  if (m.precision == loopwise::INT8) Stream<Four>(m, c).run();
  else if (m.precision == loopwise::BFLOAT16) Stream<uint16_t>(m, c).run();
  else Stream<float>(m, c).run();
}

}  // namespace LOOPWISE_ISA
