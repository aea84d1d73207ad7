// A recurrence backwards: step by step through time, then all that needs every step at once.
#pragma once

#include "cells.h"
#include "memory.h"
#include "norm.h"
#include "product.h"
#include "split.h"
#include "walk.h"

namespace LOOPWISE_ISA {

using loopwise::Gradients;
using loopwise::GRU;

// W: the type of the packed weights.
template <class W>
class Backward {
 public:
  Backward(const Recurrence& problem, const Gradients& gradients, const Plan& plan)
      : p(problem), g(gradients), walk{p}, G(loopwise::gates_of(p.cell)),
        K(loopwise::kept_of(p.cell)), norm(p.norm_ih != nullptr), projected(p.P != p.H),
        apart(p.cell == GRU && !norm), plan_(plan),
        hh_store_(Panels<W>::size(apart ? 2 * p.H : G * p.H, p.P, 1)),
        extra_store_(apart ? Panels<W>::size(p.H, p.P, 1) : 0),
        hr_store_(projected ? Panels<W>::size(p.P, p.H, 1) : 0), dh_((size_t)2 * p.B * p.P),
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
    deal(p, plan_, dealt_, dealt_ + p.B);
  }

  // Whether there was too little memory, and so nothing was computed.
  bool failed() const { return failed_; }

  // By the whole team, with memory for a list of rows.
  void pack(const float** rows) {
    bool finite = true;
    for (int i = 0; i < G * p.H; i++) rows[i] = p.w_hh + (size_t)i * p.P;
#pragma omp for nowait
    for (int i = 0; i < hh.panels(); i++) finite &= pack_rows(hh, i, rows);
    if (apart) {
#pragma omp for nowait
      for (int i = 0; i < extra.panels(); i++) finite &= pack_rows(extra, i, rows + 2 * p.H);
    }
    if (projected) {
      for (int i = 0; i < p.P; i++) rows[i] = p.w_hr + (size_t)i * p.H;
#pragma omp for nowait
      for (int i = 0; i < hr.panels(); i++) finite &= pack_rows(hr, i, rows);
    }
#pragma omp barrier
    note(finite);
  }

  void run(int thread) {
    NoDenormals guard;
    Unit<W> unit;
    Share s = share_of(p, plan_, thread, hh.panel_units());
    Scratch scratch(s.r1 - s.r0, G * p.H > p.P ? G * p.H : p.P, failed_);
    Buffer<const float*> weights((size_t)(G * p.H + p.P), failed_);
#pragma omp barrier
    if (failed_) return;
    pack(weights);
    for (int step = p.T - 1; step >= 0; step--) take_step(s, thread, step, scratch);
    note(scratch.in.finite());
  }

  // Whether W could hold every number that was met. If not, the results are worthless.
  bool held() const { return held_; }

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
  struct Scratch {
    Scratch(int rows, int K, bool& failed)
        : in(rows, K, failed), a((size_t)rows, failed), c((size_t)rows, failed) {}
    Inputs<W> in;
    Buffer<const float*> a;
    Buffer<float*> c;
  };

  void note(bool finite) {
    if (!finite) __atomic_store_n(&held_, false, __ATOMIC_RELAXED);
  }

  size_t row_sums() const {
    size_t H = (size_t)p.H, gates = (size_t)G * H;
    return (norm ? 4 * gates + (p.norm_c ? 2 * H : 0) : 0) + (p.peephole ? 3 * H : 0);
  }
  float* sums(int r) const { return sums_ + (size_t)walk.row(r) * row_sums(); }
  static void give(float* to, const float* from, size_t n) {
    if (to) memcpy(to, from, sizeof(float) * n);
  }

  void sync(int thread) {
    if (plan_.by_units) barrier_.wait(thread);
  }
  float* dh(int side, int r) const { return dh_ + ((size_t)(side & 1) * p.B + r) * p.P; }
  float* dc(int r) const { return p.c0 ? dc_ + (size_t)r * p.H : nullptr; }
  float* dout(int r) const { return dout_ + (size_t)r * p.H; }

  void take_step(const Share& s, int thread, int step, Scratch& scratch) {
    const float** a = scratch.a;
    float** c = scratch.c;
    int n = walk.alive(step, s.r0, s.r1), t = walk.time(step);
    int u0 = projected ? 0 : s.u0, u1 = projected ? p.P : s.u1;
    for (int r = s.r0; r < s.r0 + n; r++) open(step, t, r, u0, u1, s);
    if (projected) {
      for (int i = 0; i < n; i++) {
        a[i] = g.narrow + walk.at(t, s.r0 + i) * p.P;
        c[i] = dout(s.r0 + i);
      }
      scratch.in.take(a, n, p.P);
      multiply(hr, 0, hr.panels(), n, scratch.in, c, nullptr, ZERO);
    }
    for (int r = s.r0; r < s.r0 + n; r++) cell(step, t, r, s);
    sync(thread);
    // through the recurrent weights, to the step before: of a thread's own units, which it alone
    // goes on with
    int q0 = 0, q1 = hh.panels();
    if (plan_.by_units) {
      q0 = s.u0 / hh.panel_units();
      q1 = (s.u1 + hh.panel_units() - 1) / hh.panel_units();
    }
    for (int i = 0; i < n; i++) {
      int r = s.r0 + i;
      a[i] = norm ? g.share_h + walk.at(t, r) * (size_t)(G * p.H)
                  : g.gates + walk.at(t, r) * (size_t)(K * p.H);
      c[i] = p.mask ? through_ + (size_t)r * p.P : dh(step, r);
    }
    scratch.in.take(a, n, hh.K);
    multiply(hh, q0, q1, n, scratch.in, c, nullptr, p.mask ? ZERO : KEEP);
    if (apart) {
      for (int i = 0; i < n; i++) a[i] += 3 * p.H;
      scratch.in.take(a, n, p.H);
      multiply(extra, q0, q1, n, scratch.in, c, nullptr, KEEP);
    }
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
    float* each = g.new_h ? g.new_h + at * p.P : nullptr;
    for (int u = u0; u < u1; u += WIDTH) {
      int n = u1 - u < WIDTH ? u1 - u : WIDTH;
      Vec d = from ? load(from + u, n) : Vec{};
      if (dy) d = d + load(dy + u, n);
      Vec kept = keep ? load(keep + u, n) * d : Vec{};
      store(to + u, d - kept, n);
      if (each) store(each + u, d - kept, n);
      store(past + u, kept, n);
    }
  }

  void cell(int step, int t, int r, const Share& s) {
    size_t at = walk.at(t, r), wide = at * (size_t)(K * p.H);
    Then then = {p.kept + wide, walk.h_before(t, r), p.c0 ? walk.c_before(t, r) : nullptr,
                 p.keep_c ? p.keep_c + at * p.H : nullptr, g.kept ? g.kept + wide : nullptr,
                 g.cells ? g.cells + at * p.H : nullptr, dout(r), dh(step, r), dc(r),
                 g.gates + wide, g.new_c ? g.new_c + at * p.H : nullptr,
                 g.out ? g.out + at * p.H : nullptr};
    if (p.norm_c) {
      normed_cell(then, r);
    } else {
      for (int u = s.u0; u < s.u1; u += WIDTH)
        activate_back(p, then, u, s.u1 - u < WIDTH ? s.u1 - u : WIDTH);
    }
    if (g.shares) {
      float* to = g.shares + at * (size_t)(G * p.H);
      for (int k = 0; k < G; k++) copy(to + k * p.H, then.d_gates + k * p.H, s.u0, s.u1);
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
  Buffer<W> hh_store_, extra_store_, hr_store_;
  Buffer<float> dh_, dc_, dout_, through_, sums_, work_;
  Buffer<int32_t> dealt_;
  bool held_ = true;
  Panels<W> hh, extra, hr;
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

// What needs all steps at once: gradients of the weights and of the input. Whether W could hold all.
template <class W>
static bool products(const Recurrence& p, const Gradients& g, int threads) {
  Walk walk{p};
  const int G = loopwise::gates_of(p.cell), H = p.H, gates = G * H;
  const int wide = loopwise::kept_of(p.cell) * H, count = (int)positions(p);
  const bool norm = p.norm_ih != nullptr, apart = p.cell == GRU && !norm;
  const size_t n = (size_t)count;
  Buffer<float> masked(p.mask ? n * (size_t)p.P : 0);
  Buffer<const float*> d_x(n), d_h(n), x(n), h(n), narrow(n), out(n), w((size_t)gates);
  // the GRU's n has different gradients on the sides of input and state
  Buffer<const float*> n_x(apart ? n : 0), n_h(apart ? n : 0);
  Buffer<float*> dx(n);
  int i = 0;
  for (int t = 0; t < p.T; t++) {
    for (int r = 0; r < p.B && t < walk.length(r); r++, i++) {
      size_t at = walk.at(t, r);
      d_x[i] = g.gates + at * (size_t)wide;
      d_h[i] = norm ? g.share_h + at * (size_t)gates : d_x[i];
      if (apart) {
        n_x[i] = d_x[i] + 2 * H;
        n_h[i] = d_x[i] + 3 * H;
      }
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
  Buffer<W> x_panels(Panels<W>::size(BLOCK_K, p.I > H ? p.I : H, 1));
  Buffer<W> h_panels(Panels<W>::size(BLOCK_K, p.P, 1));
  Buffer<W> ih_store(g.x ? Panels<W>::size(gates, p.I, 1) : 0);
  Panels<W> ih = {ih_store, gates, p.I, 1};
  const int block = at_once(gates);
  bool held = true, failed = false;
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    NoDenormals guard;
    Unit<W> unit;
    Inputs<W> in(g.x ? block : 0, gates, failed);
    Columns<W> columns(failed);
    bool finite = true;
#pragma omp barrier
    if (!failed) {
      const Factor<W> of_x = {x, p.I, g.w_ih, x_panels}, of_h = {h, p.P, g.w_hh, h_panels};
      const Factor<W> both[2] = {of_x, of_h};
      const int first = g.w_ih ? 0 : 1, shared = (g.w_ih ? 1 : 0) + (g.w_hh && !norm ? 1 : 0);
      const int common = apart ? 2 * H : gates;  // gates whose gradient is the same on both sides
      if (shared) finite &= outer(d_x, common, count, both + first, shared, columns);
      if (g.w_hh && norm) finite &= outer(d_h, gates, count, &of_h, 1, columns);
      if (apart) {
        const size_t rows = (size_t)common;
        if (g.w_ih) {
          const Factor<W> rest = {x, p.I, g.w_ih + rows * (size_t)p.I, x_panels};
          finite &= outer(n_x, H, count, &rest, 1, columns);
        }
        if (g.w_hh) {
          const Factor<W> rest = {h, p.P, g.w_hh + rows * (size_t)p.P, h_panels};
          finite &= outer(n_h, H, count, &rest, 1, columns);
        }
      }
      if (g.w_hr) {
        const Factor<W> of_out = {out, H, g.w_hr, x_panels};
        finite &= outer(narrow, p.P, count, &of_out, 1, columns);
      }
      if (g.x) {
#pragma omp for
        for (int k = 0; k < ih.panels(); k++) finite &= pack_rows(ih, k, w);
#pragma omp for schedule(static)
        for (int first = 0; first < count; first += block) {
          int rows = count - first < block ? count - first : block;
          in.take(d_x + first, rows, gates);
          multiply(ih, 0, ih.panels(), rows, in, dx + first, nullptr, ZERO);
        }
      }
      if (!finite || !in.finite() || !columns.finite())
        __atomic_store_n(&held, false, __ATOMIC_RELAXED);
      if (!norm && g.b_ih) column_sums(d_x, count, gates, g.b_ih);
      if (!norm && g.b_hh && apart) {
        column_sums(d_h, count, 2 * H, g.b_hh);
        column_sums(n_h, count, H, g.b_hh + 2 * H);
      }
    }
  }
  if (failed) throw std::bad_alloc();
  if (!norm && g.b_hh && !apart) {
    if (g.b_ih) memcpy(g.b_hh, g.b_ih, sizeof(float) * (size_t)gates);
    else column_sums(d_h, count, gates, g.b_hh);
  }
  return held;
}

template <class W>
static bool backward_by(const Recurrence& p, const Gradients& g, const Plan& plan) {
  Backward<W> b(p, g, plan);
#pragma omp parallel num_threads(plan.threads) if (plan.threads > 1)
  {
#pragma omp single
    b.team(omp_get_num_threads());
    b.run(omp_get_thread_num());
  }
  if (b.failed()) throw std::bad_alloc();
  b.reduce();
  return b.held() && products<W>(p, g, work_of(p) < 1e6 ? 1 : p.threads);
}

static void clear(float* to, size_t n) {
  if (to) memset(to, 0, sizeof(float) * n);
}

static void backward(const Recurrence& p, const Gradients& given) {
  Walk walk{p};
  const size_t at = (size_t)p.T * (size_t)p.B, H = (size_t)p.H;
  const bool projected = p.P != p.H;
  Buffer<float> gates(at * (size_t)loopwise::kept_of(p.cell) * H);
  Buffer<float> share_h(p.norm_ih ? at * (size_t)loopwise::gates_of(p.cell) * H : 0);
  Buffer<float> out(projected ? at * H : 0), narrow(projected ? at * (size_t)p.P : 0);
  Gradients g = given;
  g.gates = gates;
  g.share_h = share_h;
  g.out = out;
  g.narrow = narrow;
  bool done = takes_tiles(p) && backward_by<Tiled>(p, g, make_plan(p, true));
  if (!done) {
    const size_t rows = (size_t)p.B;  // what only grows begins anew
    clear(g.h0, rows * (size_t)p.P);
    clear(g.restart_h, rows * (size_t)p.P);
    clear(g.c0, rows * (size_t)p.H);
    clear(g.restart_c, rows * (size_t)p.H);
    backward_by<float>(p, g, make_plan(p, false));
  }
  for (int r = 0; r < p.B; r++) {
    if (walk.length(r) > 0) continue;
    size_t row = (size_t)walk.row(r);
    if (g.h0 && g.hn) copy(g.h0 + row * p.P, g.hn + row * p.P, 0, p.P);
    if (g.c0 && g.cn) copy(g.c0 + row * p.H, g.cn + row * p.H, 0, p.H);
  }
}

}  // namespace LOOPWISE_ISA
