// The Python module loopwise._native: checks what it is given, chooses the kernels.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "dispatch.h"
#include "scratch.h"
#include "streams.h"

namespace {

using loopwise::Arrays;
using loopwise::cell_of;
using loopwise::Gradients;
using loopwise::Model;
using loopwise::Recurrence;
using loopwise::require;
using loopwise::Streams;

void read_lengths(Arrays& in, Recurrence& p) {
  p.order = in.take<const int32_t>("order", 'i', {p.B});
  p.length = in.take<const int32_t>("length", 'i', {p.B});
  require(!p.order == !p.length, "order and length: give both or none");
  if (!p.length) return;
  std::vector<char> seen(static_cast<size_t>(p.B));
  for (int r = 0; r < p.B; r++) {
    int row = p.order[r], length = p.length[r];
    require(row >= 0 && row < p.B && !seen[static_cast<size_t>(row)],
            "order: expected each row once");
    seen[static_cast<size_t>(row)] = 1;
    require(length >= 0 && length <= p.T, "length: expected 0 to T");
    require(r == 0 || length <= p.length[r - 1], "length: expected falling numbers");
  }
}

void read(Recurrence& p, Arrays& in, const std::string& cell, bool reverse, int threads) {
  p.cell = cell_of(cell);
  p.reverse = reverse;
  p.threads = threads < 1 ? 1 : threads;
  p.T = in.extent("x", 0);
  p.B = in.extent("x", 1);
  p.I = in.extent("x", 2);
  p.P = in.extent("w_hh", 1);
  const int G = loopwise::gates_of(p.cell), K = loopwise::kept_of(p.cell);
  p.H = in.extent("w_hh", 0) / G;
  const int T = p.T, B = p.B, I = p.I, H = p.H, P = p.P, gates = G * H;
  require(H > 0 && P > 0, "w_hh: expected at least one unit");
  const bool lstm = p.cell == loopwise::LSTM;
  p.x = in.required("x", {T, B, I});
  p.h0 = in.required("h0", {B, P});
  p.restart_h = in.floats("restart_h", {B, P});
  p.w_ih = in.required("w_ih", {gates, I});
  p.w_hh = in.required("w_hh", {gates, P});
  p.b_ih = in.floats("b_ih", {gates});
  p.b_hh = in.floats("b_hh", {gates});
  p.w_hr = in.floats("w_hr", {P, H});
  require((P != H) == (p.w_hr != nullptr), "w_hr: expected where w_hh has not H columns, only there");
  require(P == H || p.cell != loopwise::GRU, "w_hr: the GRU has no projection here");
  p.norm_ih = in.floats("norm_ih", {gates});
  p.norm_hh = in.floats("norm_hh", {gates});
  require(!p.norm_ih == !p.norm_hh, "norm_ih and norm_hh: give both or none");
  if (lstm) {
    p.c0 = in.required("c0", {B, H});
    p.restart_c = in.floats("restart_c", {B, H});
    p.peephole = in.floats("peephole", {3, H});
    p.norm_c = in.floats("norm_c", {H});
    p.norm_c_bias = in.floats("norm_c_bias", {H});
    require(!p.norm_c == !p.norm_ih, "norm_c: expected together with norm_ih");
    p.keep_c = in.floats("keep_c", {T, B, H});
    p.cn = in.required_result("cn", {B, H});
    p.cells = in.result("cells", {T, B, H});
  }
  read_lengths(in, p);
  p.reset = in.take<const uint8_t>("reset", '?', {T, B});
  require(!p.reset || (p.restart_h && (!lstm || p.restart_c)), "reset: needs restart_h, restart_c");
  p.mask = in.floats("mask", {B, P});
  p.keep_h = in.floats("keep_h", {T, B, P});
  p.y = in.required_result("y", {T, B, P});
  p.hn = in.required_result("hn", {B, P});
  p.kept = in.result("kept", {T, B, K * H});
  require(!lstm || !p.kept == !p.cells, "kept and cells: give both or none");
  p.share_x = in.result("share_x", {T, B, gates});
  p.share_h = in.result("share_h", {T, B, gates});
}

// Numbers that a matrix [gates * units, K] has once it is packed.
Py_ssize_t packed_numbers(int K, int units, int gates) {
  return static_cast<Py_ssize_t>(
      loopwise::kernels().packed_size(K, units, gates, loopwise::FLOAT32) / sizeof(float));
}

void forward(const std::string& cell, bool reverse, int threads, const nb::dict& arrays) {
  Arrays in(arrays);
  Recurrence p = {};
  read(p, in, cell, reverse, threads);
  const int G = loopwise::gates_of(p.cell);
  p.packed_ih = in.floats("packed_w_ih", {packed_numbers(p.I, p.H, G)});
  p.packed_hh = in.floats("packed_w_hh", {packed_numbers(p.P, p.H, G)});
  p.packed_hr = in.floats("packed_w_hr", {packed_numbers(p.H, p.P, 1)});
  require(!p.packed_ih == !p.packed_hh && !p.packed_hr == !(p.packed_ih && p.w_hr),
          "packed_w_ih, packed_w_hh and packed_w_hr: give all or none");
  nb::gil_scoped_release unlocked;
  loopwise::kernels().forward(p);
}

void backward(const std::string& cell, bool reverse, int threads, const nb::dict& arrays) {
  Arrays in(arrays);
  Recurrence p = {};
  read(p, in, cell, reverse, threads);
  const int T = p.T, B = p.B, I = p.I, H = p.H, P = p.P;
  const int gates = loopwise::gates_of(p.cell) * H, K = loopwise::kept_of(p.cell);
  require(p.kept, "kept: is missing");
  require(!p.norm_ih || (p.share_x && p.share_h), "share_x, share_h: are missing");
  Gradients g = {};
  g.y = in.floats("d_y", {T, B, P});
  g.hn = in.floats("d_hn", {B, P});
  g.cn = in.floats("d_cn", {B, H});
  g.kept = in.floats("d_kept", {T, B, K * H});
  g.cells = in.floats("d_cells", {T, B, H});
  g.new_h = in.result("d_new_h", {T, B, P});
  g.new_c = in.result("d_new_c", {T, B, H});
  g.shares = in.result("d_shares", {T, B, gates});
  g.x = in.result("d_x", {T, B, I});
  g.h0 = in.result("d_h0", {B, P});
  g.c0 = in.result("d_c0", {B, H});
  g.restart_h = in.result("d_restart_h", {B, P});
  g.restart_c = in.result("d_restart_c", {B, H});
  g.w_ih = in.result("d_w_ih", {gates, I});
  g.w_hh = in.result("d_w_hh", {gates, P});
  g.b_ih = in.result("d_b_ih", {gates});
  g.b_hh = in.result("d_b_hh", {gates});
  g.w_hr = in.result("d_w_hr", {P, H});
  g.peephole = in.result("d_peephole", {3, H});
  g.norm_ih = in.result("d_norm_ih", {gates});
  g.norm_hh = in.result("d_norm_hh", {gates});
  g.norm_c = in.result("d_norm_c", {H});
  g.norm_c_bias = in.result("d_norm_c_bias", {H});
  nb::gil_scoped_release unlocked;
  loopwise::kernels().backward(p, g);
}

const int64_t* read_targets(Arrays& in, int rows, int classes) {
  const int64_t* targets = in.take<const int64_t>("targets", 'q', {rows});
  require(targets, "targets: is missing");
  for (int i = 0; i < rows; i++)
    require(targets[i] < classes, "targets: expected numbers below the number of classes");
  return targets;
}

void surprisal(int threads, float scale, const nb::kwargs& arrays) {
  Arrays in(arrays);
  loopwise::Surprisal s = {};
  s.rows = in.extent("logits", 0);
  s.classes = in.extent("logits", 1);
  s.bfloat16 = in.holds("logits", 2);
  s.logits = s.bfloat16 ? static_cast<void*>(in.take<uint16_t>("logits", 'H', {s.rows, s.classes}))
                        : in.required_result("logits", {s.rows, s.classes});
  s.targets = read_targets(in, s.rows, s.classes);
  s.nats = in.required_result("nats", {s.rows});
  s.threads = threads < 1 ? 1 : threads;
  s.scale = scale;
  nb::gil_scoped_release unlocked;
  loopwise::kernels().surprisal(s);
}

bool head(int threads, int at_once, const nb::kwargs& arrays) {
  Arrays in(arrays);
  loopwise::Head h = {};
  h.rows = in.extent("x", 0);
  h.features = in.extent("x", 1);
  h.classes = in.extent("weight", 0);
  h.x = in.required("x", {h.rows, h.features});
  h.weight = in.required("weight", {h.classes, h.features});
  h.bias = in.floats("bias", {h.classes});
  h.targets = read_targets(in, h.rows, h.classes);
  h.nats = in.required_result("nats", {h.rows});
  h.d_x = in.result("d_x", {h.rows, h.features});
  h.d_weight = in.result("d_weight", {h.classes, h.features});
  h.d_bias = in.result("d_bias", {h.classes});
  h.threads = threads < 1 ? 1 : threads;
  h.at_once = at_once < 1 ? 1 : at_once;
  nb::gil_scoped_release unlocked;
  return loopwise::kernels().head(h);
}

loopwise::Transcripts read_transcripts(Arrays& in, int T, int B, int places, int classes) {
  loopwise::Transcripts of = {};
  of.T = T, of.B = B, of.places = places;
  require(places > 0, "places: expected at least one");
  require(static_cast<double>(T) * B * places < INT32_MAX, "there are too many nodes for one batch");
  of.targets = in.take<const int64_t>("targets", 'q', {places - 1, B});
  of.lengths = in.take<const int64_t>("lengths", 'q', {B});
  of.target_lengths = in.take<const int64_t>("target_lengths", 'q', {B});
  require(of.lengths && of.target_lengths, "lengths, target_lengths: are missing");
  for (int b = 0; b < B; b++) {
    require(of.lengths[b] > 0 && of.lengths[b] <= T, "lengths: expected 1 to T");
    require(of.target_lengths[b] >= 0 && of.target_lengths[b] < places,
            "target_lengths: expected 0 to the number of targets");
  }
  if (!classes) return of;
  require(of.targets, "targets: is missing");
  for (int b = 0; b < B; b++)
    for (int u = 0; u < of.target_lengths[b]; u++) {
      const int64_t target = of.targets[static_cast<size_t>(u) * static_cast<size_t>(B) +
                                        static_cast<size_t>(b)];
      require(target > 0 && target < classes, "targets: expected 1 to the number of classes less one");
    }
  return of;
}

void joiner(int threads, int at_once, const nb::kwargs& arrays) {
  Arrays in(arrays);
  loopwise::Joiner j = {};
  const int T = in.extent("encoded", 0), B = in.extent("encoded", 1);
  const int places = in.extent("predicted", 0);
  j.features = in.extent("encoded", 2);
  j.classes = in.extent("weight", 0);
  require(j.features > 0 && j.classes > 0, "weight: expected at least one class and one feature");
  j.encoded = in.required("encoded", {T, B, j.features});
  j.predicted = in.required("predicted", {places, B, j.features});
  j.weight = in.required("weight", {j.classes, j.features});
  j.bias = in.floats("bias", {j.classes});
  j.of = read_transcripts(in, T, B, places, j.classes);
  j.log_probs = in.result("log_probs", {B, T, places, 2});
  j.d_log_probs = in.floats("d_log_probs", {B, T, places, 2});
  require(!j.log_probs != !j.d_log_probs, "log_probs, d_log_probs: give one of them");
  j.d_encoded = in.result("d_encoded", {T, B, j.features});
  j.d_predicted = in.result("d_predicted", {places, B, j.features});
  j.d_weight = in.result("d_weight", {j.classes, j.features});
  j.d_bias = in.result("d_bias", {j.classes});
  j.threads = threads < 1 ? 1 : threads;
  j.at_once = at_once < 1 ? 1 : at_once;
  nb::gil_scoped_release unlocked;
  loopwise::kernels().joiner(j);
}

void lattice(int threads, const nb::kwargs& arrays) {
  Arrays in(arrays);
  loopwise::Lattice l = {};
  const int B = in.extent("log_probs", 0), T = in.extent("log_probs", 1);
  const int places = in.extent("log_probs", 2);
  l.of = read_transcripts(in, T, B, places, 0);
  l.log_probs = in.required("log_probs", {B, T, places, 2});
  l.nats = in.required_result("nats", {B});
  l.d_log_probs = in.result("d_log_probs", {B, T, places, 2});
  l.threads = threads < 1 ? 1 : threads;
  nb::gil_scoped_release unlocked;
  loopwise::kernels().lattice(l);
}

// An array [shape] of float from the engine's own memory, which takes it back in the end.
nb::ndarray<nb::numpy, float> empty(const std::vector<size_t>& shape) {
  struct Block {
    void* memory;
    size_t bytes;
  };
  size_t bytes = sizeof(float);
  for (size_t extent : shape) bytes *= extent;
  auto block = std::make_unique<Block>(Block{loopwise::borrow(bytes), bytes});
  if (!block->memory) throw std::bad_alloc();
  nb::capsule owner(block.get(), [](void* p) noexcept {
    std::unique_ptr<Block> mine(static_cast<Block*>(p));
    loopwise::give_back(mine->memory, mine->bytes);
  });
  return {block.release()->memory, shape.size(), shape.data(), owner};
}

// A matrix [gates * units, K] as `forward` uses it.
nb::ndarray<nb::numpy, float> pack(int gates, const nb::kwargs& arrays) {
  Arrays in(arrays);
  const int rows = in.extent("weight", 0), K = in.extent("weight", 1);
  require(gates > 0 && rows % gates == 0, "weight: expected as many rows for each gate");
  const float* weight = in.required("weight", {rows, K});
  auto to = empty({static_cast<size_t>(packed_numbers(K, rows / gates, gates))});
  loopwise::kernels().pack(weight, K, rows / gates, gates, loopwise::FLOAT32, to.data());
  return to;
}

void activate(const std::string& function, const nb::kwargs& arrays) {
  Arrays in(arrays);
  int n = in.extent("x", 0);
  const float* x = in.required("x", {n});
  float* y = in.required_result("y", {n});
  require(function == "sigmoid" || function == "tanh", "function: expected sigmoid or tanh");
  loopwise::kernels().activate(function == "tanh", x, y, n);
}

}  // namespace

NB_MODULE(_native, module) {
  module.def("forward", &forward, nb::arg("cell"), nb::arg("reverse"), nb::arg("threads"),
             nb::arg("arrays"));
  module.def("backward", &backward, nb::arg("cell"), nb::arg("reverse"), nb::arg("threads"),
             nb::arg("arrays"));
  module.def("surprisal", &surprisal, nb::arg("threads"), nb::arg("scale"), nb::arg("arrays"));
  module.def("head", &head, nb::arg("threads"), nb::arg("at_once"), nb::arg("arrays"));
  module.def("joiner", &joiner, nb::arg("threads"), nb::arg("at_once"), nb::arg("arrays"));
  module.def("lattice", &lattice, nb::arg("threads"), nb::arg("arrays"));
  module.def("empty", &empty, nb::arg("shape"));
  module.def("pack", &pack, nb::arg("gates"), nb::arg("arrays"));
  module.def("activate", &activate, nb::arg("function"), nb::arg("arrays"));
  nb::class_<Model>(module, "Model")
      .def(nb::init<const std::string&, nb::list, nb::dict>(), nb::arg("precision"),
           nb::arg("layers"), nb::arg("ends"))
      .def_prop_ro("state_size", &Model::state_size)
      .def_prop_ro("bytes", &Model::bytes);
  nb::class_<Streams>(module, "Streams")
      .def(nb::init<std::shared_ptr<Model>, int>(), nb::arg("model"), nb::arg("capacity"))
      .def("push", &Streams::push, nb::arg("x"))
      .def("step", &Streams::step, nb::arg("ids"), nb::arg("x"))
      .def("reset", &Streams::reset, nb::arg("stream") = 0)
      .def("state", &Streams::state, nb::arg("stream") = 0)
      .def("set_state", &Streams::set_state, nb::arg("state"), nb::arg("stream") = 0)
      .def("reorder", &Streams::reorder, nb::arg("rows"))
      .def("__len__", &Streams::capacity);
  module.def("isa", [] { return loopwise::kernels().name; });
  module.def("isas", &loopwise::offered);
}
