// The Python module loopwise._native: checks what it is given, chooses the kernels.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstdlib>
#include <initializer_list>
#include <string>
#include <vector>

#include "dispatch.h"
#include "recurrence.h"

namespace nb = nanobind;

namespace {

using loopwise::Gradients;
using loopwise::Recurrence;

std::string shape_text(const std::vector<Py_ssize_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); i++)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

// Keyword arguments that are arrays. Their memory stays while this object lives.
class Arrays {
 public:
  explicit Arrays(const nb::kwargs& given) : given_(given) { views_.reserve(64); }
  ~Arrays() {
    for (Py_buffer& view : views_) PyBuffer_Release(&view);
  }
  Arrays(const Arrays&) = delete;
  Arrays& operator=(const Arrays&) = delete;

  // The memory of an argument, or null where it is absent or None. -1 in a shape is any size.
  template <class T>
  T* take(const char* name, const char* format, std::initializer_list<Py_ssize_t> shape) {
    PyObject* object = PyDict_GetItemString(given_.ptr(), name);  // borrowed
    if (!object || object == Py_None) return nullptr;
    Py_buffer view;
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT;
    if (PyObject_GetBuffer(object, &view, flags) != 0) {
      PyErr_Clear();
      throw nb::type_error((std::string(name) + ": expected a C-contiguous array").c_str());
    }
    views_.push_back(view);
    std::vector<Py_ssize_t> found(view.shape, view.shape + view.ndim);
    std::string type = view.format ? view.format : "B";
    if (type != format)
      throw nb::type_error(
          (std::string(name) + ": expected type '" + format + "', given '" + type + "'").c_str());
    bool fits = found.size() == shape.size();
    size_t i = 0;
    for (Py_ssize_t n : shape) {
      if (fits && n >= 0 && found[i] != n) fits = false;
      i++;
    }
    if (!fits)
      throw nb::value_error((std::string(name) + ": expected shape " +
                             shape_text(std::vector<Py_ssize_t>(shape)) + ", given " +
                             shape_text(found))
                                .c_str());
    return static_cast<T*>(view.buf);
  }

  float* floats(const char* name, std::initializer_list<Py_ssize_t> shape) {
    return take<float>(name, "f", shape);
  }
  float* required(const char* name, std::initializer_list<Py_ssize_t> shape) {
    float* p = floats(name, shape);
    if (!p) throw nb::value_error((std::string(name) + ": is missing").c_str());
    return p;
  }
  // Whether the numbers of an array take so many bytes each.
  bool holds(const char* name, Py_ssize_t bytes) {
    PyObject* object = PyDict_GetItemString(given_.ptr(), name);
    Py_buffer view;
    if (!object || PyObject_GetBuffer(object, &view, PyBUF_ND) != 0) {
      PyErr_Clear();
      return false;
    }
    Py_ssize_t size = view.itemsize;
    PyBuffer_Release(&view);
    return size == bytes;
  }
  // The size of one dimension of an array that must be there.
  int extent(const char* name, int dimension) {
    PyObject* object = PyDict_GetItemString(given_.ptr(), name);
    Py_buffer view;
    if (!object || PyObject_GetBuffer(object, &view, PyBUF_ND) != 0) {
      PyErr_Clear();
      throw nb::value_error((std::string(name) + ": expected an array").c_str());
    }
    Py_ssize_t n = dimension < view.ndim ? view.shape[dimension] : -1;
    PyBuffer_Release(&view);
    if (n < 0 || n > INT32_MAX)
      throw nb::value_error((std::string(name) + ": has too few dimensions or is too large").c_str());
    return static_cast<int>(n);
  }

 private:
  nb::kwargs given_;
  std::vector<Py_buffer> views_;
};

int cell_of(const std::string& name) {
  if (name == "rnn_tanh") return loopwise::RNN_TANH;
  if (name == "rnn_relu") return loopwise::RNN_RELU;
  if (name == "lstm") return loopwise::LSTM;
  if (name == "gru") return loopwise::GRU;
  throw nb::value_error(("cell: unknown: " + name).c_str());
}

// A recurrence, and how many rows are alive at each step.
struct Request {
  Recurrence p = {};
  std::vector<int32_t> active;
};

void require(bool holds, const char* message) {
  if (!holds) throw nb::value_error(message);
}

void read_lengths(Arrays& in, Request& request) {
  Recurrence& p = request.p;
  p.order = in.take<const int32_t>("order", "i", {p.B});
  p.length = in.take<const int32_t>("length", "i", {p.B});
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
  request.active.assign(static_cast<size_t>(p.T), 0);
  for (int t = 0, r = p.B; t < p.T; t++) {
    while (r > 0 && p.length[r - 1] <= t) r--;
    request.active[static_cast<size_t>(t)] = r;
  }
  p.active = request.active.data();
}

void read(Request& request, Arrays& in, const std::string& cell, bool reverse, int threads) {
  Recurrence& p = request.p;
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
  require((P != H) <= (p.w_hr != nullptr), "w_hh: expected H columns where there is no w_hr");
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
    p.cn = in.required("cn", {B, H});
    p.cells = in.floats("cells", {T, B, H});
  }
  read_lengths(in, request);
  p.reset = in.take<const uint8_t>("reset", "?", {T, B});
  require(!p.reset || (p.restart_h && (!lstm || p.restart_c)), "reset: needs restart_h, restart_c");
  p.mask = in.floats("mask", {B, P});
  p.keep_h = in.floats("keep_h", {T, B, P});
  p.y = in.required("y", {T, B, P});
  p.hn = in.required("hn", {B, P});
  p.kept = in.floats("kept", {T, B, K * H});
  require(!lstm || !p.kept == !p.cells, "kept and cells: give both or none");
  p.share_x = in.floats("share_x", {T, B, gates});
  p.share_h = in.floats("share_h", {T, B, gates});
}

void forward(const std::string& cell, bool reverse, int threads, const nb::kwargs& arrays) {
  Arrays in(arrays);
  Request request;
  read(request, in, cell, reverse, threads);
  nb::gil_scoped_release unlocked;
  loopwise::kernels().forward(request.p);
}

void backward(const std::string& cell, bool reverse, int threads, const nb::kwargs& arrays) {
  Arrays in(arrays);
  Request request;
  read(request, in, cell, reverse, threads);
  const Recurrence& p = request.p;
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
  g.gates = in.required("work_gates", {T, B, K * H});
  g.share_h = in.floats("work_share_h", {T, B, gates});
  g.out = in.floats("work_out", {T, B, H});
  g.narrow = in.floats("work_narrow", {T, B, P});
  require(!p.norm_ih || g.share_h, "work_share_h: is missing");
  require(P == H || (g.out && g.narrow), "work_out, work_narrow: are missing");
  g.x = in.floats("d_x", {T, B, I});
  g.h0 = in.floats("d_h0", {B, P});
  g.c0 = in.floats("d_c0", {B, H});
  g.restart_h = in.floats("d_restart_h", {B, P});
  g.restart_c = in.floats("d_restart_c", {B, H});
  g.w_ih = in.floats("d_w_ih", {gates, I});
  g.w_hh = in.floats("d_w_hh", {gates, P});
  g.b_ih = in.floats("d_b_ih", {gates});
  g.b_hh = in.floats("d_b_hh", {gates});
  g.w_hr = in.floats("d_w_hr", {P, H});
  g.peephole = in.floats("d_peephole", {3, H});
  g.norm_ih = in.floats("d_norm_ih", {gates});
  g.norm_hh = in.floats("d_norm_hh", {gates});
  g.norm_c = in.floats("d_norm_c", {H});
  g.norm_c_bias = in.floats("d_norm_c_bias", {H});
  nb::gil_scoped_release unlocked;
  loopwise::kernels().backward(p, g);
}

void surprisal(int threads, float scale, const nb::kwargs& arrays) {
  Arrays in(arrays);
  loopwise::Surprisal s = {};
  s.rows = in.extent("logits", 0);
  s.classes = in.extent("logits", 1);
  s.bfloat16 = in.holds("logits", 2);
  s.logits = s.bfloat16 ? static_cast<void*>(in.take<uint16_t>("logits", "H", {s.rows, s.classes}))
                        : in.required("logits", {s.rows, s.classes});
  s.targets = in.take<const int64_t>("targets", "l", {s.rows});
  s.nats = in.required("nats", {s.rows});
  s.threads = threads < 1 ? 1 : threads;
  s.scale = scale;
  require(s.targets, "targets: is missing");
  for (int i = 0; i < s.rows; i++)
    require(s.targets[i] < s.classes, "targets: expected numbers below the number of classes");
  nb::gil_scoped_release unlocked;
  loopwise::kernels().surprisal(s);
}

void activate(const std::string& function, const nb::kwargs& arrays) {
  Arrays in(arrays);
  int n = in.extent("x", 0);
  float *x = in.required("x", {n}), *y = in.required("y", {n});
  loopwise::kernels().activate(function == "tanh", x, y, n);
}

}  // namespace

NB_MODULE(_native, module) {
  module.def("forward", &forward, nb::arg("cell"), nb::arg("reverse"), nb::arg("threads"),
             nb::arg("arrays"));
  module.def("backward", &backward, nb::arg("cell"), nb::arg("reverse"), nb::arg("threads"),
             nb::arg("arrays"));
  module.def("surprisal", &surprisal, nb::arg("threads"), nb::arg("scale"), nb::arg("arrays"));
  module.def("activate", &activate, nb::arg("function"), nb::arg("arrays"));
  module.def("isa", [] { return loopwise::kernels().name; });
}
