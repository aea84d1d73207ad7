// A recurrence backwards: step by step through time, then all that needs every step at once.
#pragma once

#include "cells.h"
#include "memory.h"
#include "norm.h"
#include "product.h"
#include "walk.h"

namespace LOOPWISE_ISA {

using loopwise::Gradients;
using loopwise::GRU;

class Backward {
 public:
  Backward(const Recurrence& problem, const Gradients& gradients, const Plan& plan)
      : p(problem), g(gradients), walk{p}, G(loopwise::gates_of(p.cell)),
        K(loopwise::kept_of(p.cell)), norm(p.norm_ih != nullptr), projected(p.P != p.H),
        apart(p.cell == GRU && !norm), plan_(plan),
        hh_store_(Packed::size(apart ? 2 * p.H : G * p.H, p.P, 1)),
        extra_store_(apart ? Packed::size(p.H, p.P, 1) : 0),
        hr_store_(projected ? Packed::size(p.P, p.H, 1) : 0), dh_((size_t)2 * p.B * p.P),
        dc_(p.c0 ? (size_t)p.B * p.H : 0), dout_((size_t)p.B * p.H),
        through_(p.mask ? (size_t)p.B * p.P : 0),
        sums_((size_t)p.B * row_sums()), work_(p.norm_c ? (size_t)3 * p.H * p.B : 0), dealt_((size_t)2 * p.B),
        hh{hh_store_, apart ? 2 * p.H : G * p.H, p.P, 1},
        extra{extra_store_, p.H, p.P, 1}, hr{hr_store_, p.P, p.H, 1}, barrier_(plan.threads) {
    if (row_sums()) memset(sums_, 0, sizeof(float) * (size_t)p.B * row_sums());
  }

  void team(int size) {
    plan_.threads = size;
    barrier_.resize(size);
    int32_t* lists = (int32_t*)(float*)dealt_;
    deal(p, plan_, lists, lists + p.B);
  }

  // Whether there was too little memory, and so nothing was computed.
  bool failed() const { return failed_; }

  // By the whole team, with memory for a list of rows.
  void pack(const float** rows) {
    for (int i = 0; i < G * p.H; i++) rows[i] = p.w_hh + (size_t)i * p.P;
#pragma omp for nowait
    for (int i = 0; i < hh.panels(); i++) pack_rows(hh, i, rows);
    if (apart) {
#pragma omp for nowait
      for (int i = 0; i < extra.panels(); i++) pack_rows(extra, i, rows + 2 * p.H);
    }
    if (projected) {
      for (int i = 0; i < p.P; i++) rows[i] = p.w_hr + (size_t)i * p.H;
#pragma omp for nowait
      for (int i = 0; i < hr.panels(); i++) pack_rows(hr, i, rows);
    }
#pragma omp barrier
  }

  void run(int thread) {
    NoDenormals guard;
    Share s = share_of(p, plan_, thread, WIDTH);
    Buffer list((size_t)4 * (size_t)(s.r1 - s.r0) + 8, failed_);
    Buffer weights((size_t)2 * (size_t)(G * p.H + p.P), failed_);
#pragma omp barrier
    if (failed_) return;
    pack((const float**)(float*)weights);
    const float** a = (const float**)(float*)list;
    float** c = (float**)(a + (s.r1 - s.r0));
    for (int step = p.T - 1; step >= 0; step--) {
      take_step(s, thread, step, a, c);
    }
  }

  // Sums over rows of what each row has summed over time; always in the same order.
  void reduce() {
    size_t n = row_sums();
    for (int r = 1; r < p.B; r++)
      for (size_t i = 0; i < n; i++) sums_[i] += sums_[(size_t)r * n + i];
    const float* from = sums_;
    size_t gates = (size_t)(G * p.H), H = (size_t)p.H;
    if (norm) {
      give(g.norm_ih, from, gates);
      give(g.b_ih, from += gates, gates);
      give(g.norm_hh, from += gates, gates);
      give(g.b_hh, from += gates, gates);
      from += gates;
      if (p.norm_c) {
        give(g.norm_c, from, H);
        give(g.norm_c_bias, from + H, H);
        from += 2 * H;
      }
    }
    if (p.peephole) give(g.peephole, from, 3 * H);
  }

 private:
  size_t row_sums() const {
    size_t H = (size_t)p.H, gates = (size_t)G * H;
    return (norm ? 4 * gates + (p.norm_c ? 2 * H : 0) : 0) + (p.peephole ? 3 * H : 0);
  }
  float* sums(int r) const { return sums_ + (size_t)walk.row(r) * row_sums(); }
  static void give(float* to, const float* from, size_t n) {
    if (to) memcpy(to, from, sizeof(float) * n);
  }

  void sync() {
    if (plan_.by_units) barrier_.wait();
  }
  float* dh(int side, int r) const { return dh_ + ((size_t)(side & 1) * p.B + r) * p.P; }
  float* dc(int r) const { return p.c0 ? dc_ + (size_t)r * p.H : nullptr; }
  float* dout(int r) const { return dout_ + (size_t)r * p.H; }

  void take_step(const Share& s, int thread, int step, const float** a, float** c) {
    int n = walk.alive(step, s.r0, s.r1), t = walk.time(step);
    int u0 = projected ? 0 : s.u0, u1 = projected ? p.P : s.u1;
    for (int r = s.r0; r < s.r0 + n; r++) open(step, t, r, u0, u1, s);
    if (projected) {
      for (int i = 0; i < n; i++) {
        a[i] = g.narrow + walk.at(t, s.r0 + i) * p.P;
        c[i] = dout(s.r0 + i);
      }
      multiply(hr, 0, hr.panels(), n, a, c, nullptr, ZERO);
    }
    for (int r = s.r0; r < s.r0 + n; r++) cell(step, t, r, s);
    sync();
    // through the recurrent weights, to the step before
    int q0 = 0, q1 = hh.panels();
    if (plan_.by_units) {
      q0 = (int)((int64_t)q1 * thread / plan_.threads);
      q1 = (int)((int64_t)q1 * (thread + 1) / plan_.threads);
    }
    for (int i = 0; i < n; i++) {
      int r = s.r0 + i;
      a[i] = norm ? g.share_h + walk.at(t, r) * (size_t)(G * p.H)
                  : g.gates + walk.at(t, r) * (size_t)(K * p.H);
      c[i] = p.mask ? through_ + (size_t)r * p.P : dh(step, r);
    }
    multiply(hh, q0, q1, n, a, c, nullptr, p.mask ? ZERO : KEEP);
    if (apart) {
      for (int i = 0; i < n; i++) a[i] += 3 * p.H;
      multiply(extra, q0, q1, n, a, c, nullptr, KEEP);
    }
    sync();
    for (int r = s.r0; r < s.r0 + n; r++) close(step, t, r, u0, u1, s);
  }

  // The gradient of the output and of the state after the step meet; zoneout parts them again.
  void open(int step, int t, int r, int u0, int u1, const Share& s) {
    size_t at = walk.at(t, r), row = (size_t)walk.row(r);
    bool last = r - s.r0 >= walk.alive(step + 1, s.r0, s.r1);
    const float *from = last ? (g.hn ? g.hn + row * p.P : nullptr) : dh(step + 1, r);
    if (last && p.c0) {
      if (g.cn) copy(dc(r), g.cn + row * p.H, s.u0, s.u1);
      else memset(dc(r) + s.u0, 0, sizeof(float) * (size_t)(s.u1 - s.u0));
    }
    const float* dy = g.y ? g.y + at * p.P : nullptr;
    const float* keep = p.keep_h ? p.keep_h + at * p.P : nullptr;
    float *to = projected ? g.narrow + at * p.P : dout(r), *past = dh(step, r);
    for (int u = u0; u < u1; u += WIDTH) {
      int n = u1 - u < WIDTH ? u1 - u : WIDTH;
      Vec d = from ? load(from + u, n) : Vec{};
      if (dy) d = d + load(dy + u, n);
      Vec kept = keep ? load(keep + u, n) * d : Vec{};
      store(to + u, d - kept, n);
      store(past + u, kept, n);
    }
  }

  void cell(int step, int t, int r, const Share& s) {
    size_t at = walk.at(t, r), wide = at * (size_t)(K * p.H);
    Then then = {p.kept + wide, walk.h_before(t, r), p.c0 ? walk.c_before(t, r) : nullptr,
                 p.keep_c ? p.keep_c + at * p.H : nullptr, g.kept ? g.kept + wide : nullptr,
                 g.cells ? g.cells + at * p.H : nullptr, dout(r), dh(step, r), dc(r),
                 g.gates + wide, g.out ? g.out + at * p.H : nullptr};
    if (p.norm_c) {
      normed_cell(then, r);
    } else {
      for (int u = s.u0; u < s.u1; u += WIDTH)
        activate_back(p, then, u, s.u1 - u < WIDTH ? s.u1 - u : WIDTH);
    }
    if (p.peephole) peephole_sums(then, r, s);
    if (norm) norm_shares(then, at, r);
  }

  void normed_cell(const Then& then, int r) {
    int H = p.H;
    float *fresh = work_ + (size_t)3 * H * (size_t)r, *squashed = fresh + H, *d = squashed + H;
    for (int u = 0; u < H; u += WIDTH) {
      int n = H - u < WIDTH ? H - u : WIDTH;
      store(fresh + u, fresh_cell(p, then, u, n), n);
    }
    Moments m = moments(fresh, H);
    for (int u = 0; u < H; u += WIDTH) {
      int n = H - u < WIDTH ? H - u : WIDTH;
      Vec y = tanh(normed(fresh, m, p.norm_c, p.norm_c_bias, u, n));
      Vec o = load(then.kept + 3 * H + u, n);
      store(squashed + u, y, n);
      store(d + u, load(then.d_out + u, n) * o * fma(-y, y, splat(1)), n);
      if (then.out) store(then.out + u, o * y, n);
    }
    float* to = sums(r) + 4 * (size_t)(G * H);
    norm_back(fresh, p.norm_c, d, H, to, to + H);
    for (int u = 0; u < H; u += WIDTH) {
      int n = H - u < WIDTH ? H - u : WIDTH;
      lstm_back(p, then, u, n, load(squashed + u, n), load(d + u, n));
    }
  }

  void peephole_sums(const Then& then, int r, const Share& s) {
    float* to = sums(r) + row_sums() - 3 * (size_t)p.H;
    const float* d = then.d_gates;
    for (int u = s.u0; u < s.u1; u += WIDTH) {
      int n = s.u1 - u < WIDTH ? s.u1 - u : WIDTH;
      Vec c = load(then.c + u, n);
      store(to + u, fma(load(d + u, n), c, load(to + u, n)), n);
      store(to + p.H + u, fma(load(d + p.H + u, n), c, load(to + p.H + u, n)), n);
      Vec o = load(d + 3 * p.H + u, n), sum = load(to + 2 * p.H + u, n);
      store(to + 2 * p.H + u, fma(o, fresh_cell(p, then, u, n), sum), n);
    }
  }

  // Back through the layer norms of both shares, to what the weights gave.
  void norm_shares(const Then& then, size_t at, int r) {
    int n = G * p.H;
    float *of_h = g.share_h + at * (size_t)n, *to = sums(r);
    if (p.cell == GRU) {
      memcpy(of_h, then.d_gates, sizeof(float) * (size_t)(2 * p.H));
      memcpy(of_h + 2 * p.H, then.d_gates + 3 * p.H, sizeof(float) * (size_t)p.H);
    } else {
      memcpy(of_h, then.d_gates, sizeof(float) * (size_t)n);
    }
    norm_back(p.share_x + at * (size_t)n, p.norm_ih, then.d_gates, n, to, to + n);
    norm_back(p.share_h + at * (size_t)n, p.norm_hh, of_h, n, to + 2 * n, to + 3 * n);
  }

  // Where a sequence begins, its gradient goes to the state that it began with.
  void close(int step, int t, int r, int u0, int u1, const Share& s) {
    float* d = dh(step, r);
    size_t row = (size_t)walk.row(r);
    if (p.mask) {
      const float *mask = p.mask + row * p.P, *more = through_ + (size_t)r * p.P;
      for (int u = u0; u < u1; u++) d[u] += more[u] * mask[u];
    }
    bool restart = walk.restarts(t, r);
    if (!restart && !walk.first(t, r)) return;
    give_state(restart ? g.restart_h : g.h0, d, row * p.P, u0, u1);
    if (p.c0) give_state(restart ? g.restart_c : g.c0, dc(r), row * p.H, s.u0, s.u1);
  }

  static void give_state(float* to, float* d, size_t at, int u0, int u1) {
    for (int u = u0; u < u1; u++) {
      if (to) to[at + (size_t)u] += d[u];
      d[u] = 0;
    }
  }

  Recurrence p;
  const Gradients& g;
  Walk walk;
  int G, K;
  bool norm, projected, apart;
  Plan plan_;
  Buffer hh_store_, extra_store_, hr_store_, dh_, dc_, dout_, through_, sums_, work_, dealt_;
  Packed hh, extra, hr;
  Barrier barrier_;
  bool failed_ = false;
};

// Sums over all positions of `width` columns of rows[i].
static void column_sums(const float* const* rows, int count, int width, float* to) {
  constexpr int SPAN = 8 * WIDTH;
#pragma omp for nowait
  for (int u = 0; u < width; u += SPAN) {
    Vec acc[8] = {};
    int left = width - u < SPAN ? width - u : SPAN, full = left / WIDTH, rest = left % WIDTH;
    for (int i = 0; i < count; i++) {
      const float* row = rows[i] + u;
      for (int v = 0; v < full; v++) acc[v] = acc[v] + load(row + v * WIDTH);
      if (rest) acc[full] = acc[full] + load(row + full * WIDTH, rest);
    }
    for (int v = 0; v < full; v++) store(to + u + v * WIDTH, acc[v]);
    if (rest) store(to + u + full * WIDTH, acc[full], rest);
  }
}

// What needs all steps at once: gradients of the weights and of the input.
static void products(const Recurrence& p, const Gradients& g, int threads) {
  Walk walk{p};
  int G = loopwise::gates_of(p.cell), H = p.H, gates = G * H;
  int wide = loopwise::kept_of(p.cell) * H, count = (int)positions(p);
  bool norm = p.norm_ih != nullptr, apart = p.cell == GRU && !norm;
  size_t n = (size_t)count;
  Buffer list(2 * (7 * n + (size_t)gates) + 16), masked(p.mask ? n * (size_t)p.P : 0);
  const float **d_x = (const float**)(float*)list, **d_h = d_x + n, **x = d_h + n, **h = x + n,
              **narrow = h + n, **out = narrow + n, **w = out + n;
  float** dx = (float**)(w + gates);
  int i = 0;
  for (int t = 0; t < p.T; t++) {
    for (int r = 0; r < p.B && t < walk.length(r); r++, i++) {
      size_t at = walk.at(t, r);
      d_x[i] = g.gates + at * (size_t)wide;
      d_h[i] = norm ? g.share_h + at * (size_t)gates : d_x[i];
      x[i] = p.x + at * (size_t)p.I;
      h[i] = walk.h_before(t, r);
      if (p.mask) {
        const float* mask = p.mask + (size_t)walk.row(r) * p.P;
        float* to = masked + (size_t)i * p.P;
        for (int u = 0; u < p.P; u++) to[u] = h[i][u] * mask[u];
        h[i] = to;
      }
      dx[i] = g.x ? g.x + at * (size_t)p.I : nullptr;
      narrow[i] = g.narrow ? g.narrow + at * (size_t)p.P : nullptr;
      out[i] = g.out ? g.out + at * (size_t)H : nullptr;
    }
  }
  for (int k = 0; k < gates; k++) w[k] = p.w_ih + (size_t)k * p.I;
  int widest = p.I > p.P ? p.I : p.P;
  if (H > widest) widest = H;
  Buffer panels(outer_panels(widest)), ih_store(g.x ? Packed::size(gates, p.I, 1) : 0);
  Packed ih = {ih_store, gates, p.I, 1};
  const float** d_n = d_h;  // the GRU's n has a gradient of its own on the state's side
  Buffer shifted(apart ? 2 * n + 16 : 0);
  if (apart) {
    d_n = (const float**)(float*)shifted;
    for (int k = 0; k < count; k++) d_n[k] = d_h[k] + 3 * H;
  }
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    NoDenormals guard;
    if (g.w_ih) outer(d_x, gates, x, p.I, count, g.w_ih, panels);
    if (g.w_hh) {
      outer(d_h, apart ? 2 * H : gates, h, p.P, count, g.w_hh, panels);
      if (apart) outer(d_n, H, h, p.P, count, g.w_hh + (size_t)2 * H * p.P, panels);
    }
    if (g.w_hr) outer(narrow, p.P, out, H, count, g.w_hr, panels);
    if (g.x) {
#pragma omp for
      for (int k = 0; k < ih.panels(); k++) pack_rows(ih, k, w);
      // rows in blocks that stay in the nearer cache
#pragma omp for schedule(static)
      for (int first = 0; first < count; first += 48) {
        int rows = count - first < 48 ? count - first : 48;
        multiply(ih, 0, ih.panels(), rows, d_x + first, dx + first, nullptr, ZERO);
      }
    }
    if (!norm && g.b_ih) column_sums(d_x, count, gates, g.b_ih);
    if (!norm && g.b_hh && apart) {
      column_sums(d_h, count, 2 * H, g.b_hh);
      column_sums(d_n, count, H, g.b_hh + 2 * H);
    }
  }
  if (!norm && g.b_hh && !apart) {
    if (g.b_ih) memcpy(g.b_hh, g.b_ih, sizeof(float) * (size_t)gates);
    else column_sums(d_h, count, gates, g.b_hh);
  }
}

static void backward(const Recurrence& p, const Gradients& g) {
  Walk walk{p};
  for (int r = 0; r < p.B; r++) {
    if (walk.length(r) > 0) continue;
    size_t row = (size_t)walk.row(r);
    if (g.h0 && g.hn) copy(g.h0 + row * p.P, g.hn + row * p.P, 0, p.P);
    if (g.c0 && g.cn) copy(g.c0 + row * p.H, g.cn + row * p.H, 0, p.H);
  }
  double work = 2.0 * positions(p) * loopwise::gates_of(p.cell) * p.H * (p.I + p.P);
  Plan plan = make_plan(p, work);
  Backward b(p, g, plan);
#pragma omp parallel num_threads(plan.threads) if (plan.threads > 1)
  {
#pragma omp single
    b.team(omp_get_num_threads());
    b.run(omp_get_thread_num());
  }
  if (b.failed()) throw std::bad_alloc();
  b.reduce();
  products(p, g, work < 1e6 ? 1 : p.threads);
}

}  // namespace LOOPWISE_ISA
