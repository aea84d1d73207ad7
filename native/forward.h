// A recurrence forwards.
#pragma once

#include "direct.h"
#include "memory.h"
#include "split.h"
#include "step.h"
#include "walk.h"

namespace LOOPWISE_ISA {

using loopwise::GRU;

// Weights that the caller has packed, where they are of the type that is wanted.
template <class W>
W* given(const float*) {
  return nullptr;
}
template <>
inline float* given<float>(const float* packed) {
  return const_cast<float*>(packed);
}

// W: the type of the packed weights.
template <class W>
class Forward {
 public:
  Forward(const Recurrence& problem, const Plan& plan)
      : p(problem), walk{p}, G(loopwise::gates_of(p.cell)), K(loopwise::kept_of(p.cell)),
        norm(p.norm_ih != nullptr), projected(p.P != p.H), plan_(plan),
        packed_(given<W>(p.packed_ih) != nullptr), ih_store_(packed_ ? 0 : Panels<W>::size(p.I, p.H, G)),
        hh_store_(packed_ ? 0 : Panels<W>::size(p.P, p.H, G)),
        hr_store_(projected && !packed_ ? Panels<W>::size(p.H, p.P, 1) : 0),
        bias_(bias_size(p)), h_((size_t)2 * p.B * p.P),
        masked_(p.mask ? (size_t)2 * p.B * p.P : 0), c_(p.c0 ? (size_t)p.B * p.H : 0),
        out_((size_t)p.B * p.H), dealt_((size_t)2 * p.B),
        ih{packed_ ? given<W>(p.packed_ih) : (W*)ih_store_, p.I, p.H, G},
        hh{packed_ ? given<W>(p.packed_hh) : (W*)hh_store_, p.P, p.H, G},
        hr{packed_ ? given<W>(p.packed_hr) : (W*)hr_store_, p.H, p.P, 1}, barrier_(plan.threads) {
    fill_bias(p, bias_);
  }

  // How many threads there really are.
  void team(int size) {
    plan_.threads = size;
    barrier_.resize(size);
    deal(p, plan_, dealt_, dealt_ + p.B);
  }

  // Whether there was too little memory, and so nothing was computed.
  bool failed() const { return failed_; }

  void pack() {  // by the whole team
    if (packed_) {
#pragma omp barrier
      return;
    }
    bool finite = true;
#pragma omp for nowait
    for (int i = 0; i < ih.panels(); i++) finite &= pack_outputs(ih, i, p.w_ih);
    if (projected) {
#pragma omp for nowait
      for (int i = 0; i < hr.panels(); i++) finite &= pack_outputs(hr, i, p.w_hr);
    }
#pragma omp for
    for (int i = 0; i < hh.panels(); i++) finite &= pack_outputs(hh, i, p.w_hh);
    note(finite);
  }

  // Whether W could hold every number that was met. If not, the results are worthless.
  bool held() const { return held_; }

  void run(int thread) {
    NoDenormals guard;
    Unit<W> unit;
    Share s = share_of(p, plan_, thread, hh.panel_units());
    int rows = s.r1 - s.r0;
    int chunk = chunk_steps(rows);
    Scratch scratch(*this, (size_t)chunk * (size_t)rows);
    pack();  // at whose end the team meets
    if (failed_) return;
    enter(s, 0, 0);
    sync(thread);
    for (int step = 0; step < p.T; step += chunk) {
      int end = step + chunk < p.T ? step + chunk : p.T;
      project_input(s, step, end, scratch);
      for (int i = step; i < end; i++) {
        take_step(s, i, (i - step) * rows, scratch);
        sync(thread);
      }
    }
    note(scratch.in.finite());
  }

 private:
  // What a thread keeps of a chunk in inference, and lists of rows.
  struct Scratch {
    Scratch(Forward& f, size_t positions)
        : in(f.input_rows((int)positions), f.deepest(), f.failed_),
          kept(f.p.kept ? 0 : positions * (size_t)(f.K * f.p.H), f.failed_),
          share_x(f.norm && !f.p.share_x ? positions * (size_t)(f.G * f.p.H) : 0, f.failed_),
          share_h(f.norm && !f.p.share_h ? positions * (size_t)(f.G * f.p.H) : 0, f.failed_),
          a(positions, f.failed_), c(positions, f.failed_) {}
    Inputs<W> in;
    Buffer<float> kept, share_x, share_h;
    Buffer<const float*> a;
    Buffer<float*> c;
  };

  void note(bool finite) {
    if (!finite) __atomic_store_n(&held_, false, __ATOMIC_RELAXED);
  }

  int input_rows(int positions) const { return positions < p.B ? p.B : positions; }
  int deepest() const {
    int most = p.I > p.P ? p.I : p.P;
    return most > p.H ? most : p.H;
  }

  void sync(int thread) {
    if (plan_.by_units) barrier_.wait(thread);
  }

  // Steps whose inputs are projected at once: their gates are to stay near, but there must be rows
  // enough to be worth the reading of all weights.
  int chunk_steps(int rows) const {
    const int NEAR = 512 * 1024, WORTH = 192;
    if (rows < 1) return p.T;
    int near = NEAR / ((int)sizeof(float) * K * p.H * rows), worth = (WORTH + rows - 1) / rows;
    int steps = near > worth ? near : worth;
    return steps < 64 ? steps : 64;
  }

  float* kept(int t, int r, int slot, const Scratch& s) const {
    return (p.kept ? p.kept + walk.at(t, r) * (size_t)(K * p.H)
                   : s.kept + (size_t)slot * (size_t)(K * p.H));
  }
  float* share_x(int t, int r, int slot, const Scratch& s) const {
    size_t n = (size_t)(G * p.H);
    return p.share_x ? p.share_x + walk.at(t, r) * n : s.share_x + (size_t)slot * n;
  }
  float* share_h(int t, int r, int slot, const Scratch& s) const {
    size_t n = (size_t)(G * p.H);
    return p.share_h ? p.share_h + walk.at(t, r) * n : s.share_h + (size_t)slot * n;
  }

  float* h(int side, int r) const { return h_ + ((size_t)(side & 1) * p.B + r) * p.P; }
  float* fed(int side, int r) const {  // what the recurrent weights see
    return p.mask ? masked_ + ((size_t)(side & 1) * p.B + r) * p.P : h(side, r);
  }

  int first_panel(const Share& s) const { return s.u0 / hh.panel_units(); }
  int last_panel(const Share& s) const {
    return (s.u1 + hh.panel_units() - 1) / hh.panel_units();
  }

  // The units of h that belong to a share: of a projection, all.
  void outputs(const Share& s, int& u0, int& u1) const {
    u0 = projected ? 0 : s.u0;
    u1 = projected ? p.P : s.u1;
  }

  // Makes ready the states of rows that begin at `step`: given ones, and restarts.
  void enter(const Share& s, int step, int before) {
    int u0, u1, n = walk.alive(step, s.r0, s.r1), t = walk.time(step);
    outputs(s, u0, u1);
    for (int r = s.r0; r < s.r0 + n; r++) {
      bool restart = walk.restarts(t, r);
      if (restart || r - s.r0 >= before) {
        copy(h(step, r), walk.h_before(t, r), u0, u1);
        if (p.c0) copy(c_ + (size_t)r * p.H, walk.c_before(t, r), s.u0, s.u1);
        feed(step, r, u0, u1);
      }
    }
  }

  void feed(int side, int r, int u0, int u1) {
    if (!p.mask) return;
    const float *from = h(side, r), *mask = p.mask + (size_t)walk.row(r) * p.P;
    for (int u = u0; u < u1; u++) fed(side, r)[u] = from[u] * mask[u];
  }

  void project_input(const Share& s, int begin, int end, Scratch& scratch) {
    int count = 0;
    for (int i = begin; i < end; i++) {
      int n = walk.alive(i, s.r0, s.r1), t = walk.time(i);
      for (int r = s.r0; r < s.r0 + n; r++, count++) {
        int slot = (i - begin) * (s.r1 - s.r0) + r - s.r0;
        scratch.a[count] = p.x + walk.at(t, r) * p.I;
        scratch.c[count] = norm ? share_x(t, r, slot, scratch) : kept(t, r, slot, scratch);
        if (p.cell == GRU && !norm) start_share(p, scratch.c[count], s.u0, s.u1);
      }
    }
    const int most = at_once(p.I);
    for (int i = 0; i < count; i += most) {
      int n = count - i < most ? count - i : most;
      scratch.in.take(scratch.a + i, n, p.I);
      multiply(ih, first_panel(s), last_panel(s), n, scratch.in, scratch.c + i, Far(p.H).gates,
               norm ? ZERO : BIAS, bias_);
    }
  }

  void take_step(const Share& s, int step, int slot, Scratch& scratch) {
    int n = walk.alive(step, s.r0, s.r1), t = walk.time(step);
    for (int r = s.r0; r < s.r0 + n; r++) {
      int i = r - s.r0;
      scratch.a[i] = fed(step, r);
      scratch.c[i] = norm ? share_h(t, r, slot + i, scratch) : kept(t, r, slot + i, scratch);
    }
    scratch.in.take(scratch.a, n, p.P);
    if (norm) {
      multiply(hh, 0, hh.panels(), n, scratch.in, scratch.c, Far(p.H).gates, ZERO);
      for (int r = s.r0; r < s.r0 + n; r++) {
        int i = slot + r - s.r0;
        normed_cell(p, share_x(t, r, i, scratch), share_h(t, r, i, scratch),
                    row_now(step, t, r, kept(t, r, i, scratch)));
      }
    } else {
      const Far far(p.H, p.cell);
      int at_once = n == 1 ? hh.panels() : 1;  // gates that are fresh in the cache
      for (int i = first_panel(s), end; i < last_panel(s); i = end) {
        end = i + at_once < last_panel(s) ? i + at_once : last_panel(s);
        multiply(hh, i, end, n, scratch.in, scratch.c, far.gates, KEEP);
        int u0 = i * hh.panel_units(), u1 = end * hh.panel_units();
        if (u1 > p.H) u1 = p.H;
        for (int r = s.r0; r < s.r0 + n; r++) {
          Now now = row_now(step, t, r, scratch.c[r - s.r0]);
          activate(p, now, u0, u1);
        }
      }
    }
    if (projected) {
      for (int i = 0; i < n; i++) {
        scratch.a[i] = out_ + (size_t)(s.r0 + i) * p.H;
        scratch.c[i] = h(step + 1, s.r0 + i);
      }
      scratch.in.take(scratch.a, n, p.H);
      multiply(hr, 0, hr.panels(), n, scratch.in, scratch.c, nullptr, ZERO);
    }
    int u0, u1;
    outputs(s, u0, u1);
    for (int r = s.r0; r < s.r0 + n; r++) {
      size_t at = walk.at(t, r) * (size_t)p.P;
      finish(projected ? h(step + 1, r) : out_ + (size_t)r * p.H, h(step, r),
             p.keep_h ? p.keep_h + at : nullptr, h(step + 1, r), p.y + at, u0, u1);
      feed(step + 1, r, u0, u1);
    }
    leave(s, step, n);
    enter(s, step + 1, n);
  }

  Now row_now(int step, int t, int r, float* kept_row) const {
    size_t at = walk.at(t, r);
    return {kept_row, h(step, r), p.c0 ? c_ + (size_t)r * p.H : nullptr,
            p.cells ? p.cells + at * p.H : nullptr, p.keep_c ? p.keep_c + at * p.H : nullptr,
            out_ + (size_t)r * p.H};
  }

  // Rows that have had their last step show their state.
  void leave(const Share& s, int step, int n) {
    int u0, u1;
    outputs(s, u0, u1);
    for (int r = s.r0 + walk.alive(step + 1, s.r0, s.r1); r < s.r0 + n; r++) {
      copy(p.hn + (size_t)walk.row(r) * p.P, h(step + 1, r), u0, u1);
      if (p.cn) copy(p.cn + (size_t)walk.row(r) * p.H, c_ + (size_t)r * p.H, s.u0, s.u1);
    }
  }

  Recurrence p;
  Walk walk;
  int G, K;
  bool norm, projected;
  Plan plan_;
  bool packed_;  // by the caller
  Buffer<W> ih_store_, hh_store_, hr_store_;
  Buffer<float> bias_, h_, masked_, c_, out_;
  Buffer<int32_t> dealt_;
  bool held_ = true;
  Panels<W> ih, hh, hr;
  Barrier barrier_;
  bool failed_ = false;
};

template <class W>
static bool forward_by(const Recurrence& p, const Plan& plan) {
  Forward<W> f(p, plan);
#pragma omp parallel num_threads(plan.threads) if (plan.threads > 1)
  {
#pragma omp single
    f.team(omp_get_num_threads());
    f.run(omp_get_thread_num());
  }
  if (f.failed()) throw std::bad_alloc();
  return f.held();
}

static void forward(const Recurrence& p) {
  for (int r = 0; r < p.B; r++) {  // rows without a step keep their state
    Walk walk{p};
    if (walk.length(r) > 0) continue;
    copy(p.hn + (size_t)walk.row(r) * p.P, p.h0 + (size_t)walk.row(r) * p.P, 0, p.P);
    if (p.cn) copy(p.cn + (size_t)walk.row(r) * p.H, p.c0 + (size_t)walk.row(r) * p.H, 0, p.H);
  }
  if (takes_tiles(p) && forward_by<Tiled>(p, make_plan(p, true))) return;
  if (is_brief(p) && !p.packed_ih) forward_by<Direct>(p, make_direct_plan(p));
  else forward_by<float>(p, make_plan(p, false));
}

}  // namespace LOOPWISE_ISA
