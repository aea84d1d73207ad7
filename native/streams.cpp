#include "streams.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "dispatch.h"

namespace loopwise {

namespace {

constexpr int CHUNK = 64;             // steps that go through the layers at once
constexpr double LONG_WORK = 500000;  // operations from which on the interpreter is let go

nb::object empty_floats(nb::object shape) {
  static nb::object* make = nullptr;
  static nb::object* type = nullptr;
  if (!make) {  // kept for the life of the process
    nb::module_ numpy = nb::module_::import_("numpy");
    make = new nb::object(numpy.attr("empty"));
    type = new nb::object(numpy.attr("float32"));
  }
  return (*make)(shape, *type);
}

void require_array(const View& view, const char* what) {
  if (!view.is_open())
    throw nb::type_error((std::string(what) + ": expected a C-contiguous array").c_str());
}

size_t line(size_t n) { return (n + 15) & ~static_cast<size_t>(15); }

}  // namespace

constexpr std::align_val_t CACHE_LINE{64};

Aligned::Aligned(size_t bytes) : data_(::operator new(bytes + 64, CACHE_LINE)) {}

void Aligned::Free::operator()(void* p) const { ::operator delete(p, CACHE_LINE); }

Model::Model(const std::string& precision, nb::list layers, nb::dict ends) {
  require(precision == "float32" || precision == "bfloat16" || precision == "int8",
          "precision: expected float32, bfloat16 or int8");
  plan_.precision = precision == "int8" ? INT8 : precision == "bfloat16" ? BFLOAT16 : FLOAT32;
  require(layers.size() > 0, "layers: expected at least one");
  for (nb::handle layer : layers) add_layer(nb::cast<nb::dict>(layer));
  const int first = layers_.front().p.I, last = layers_.back().p.P;
  plan_.layers = static_cast<int>(layers_.size());
  plan_.layer = layers_.data();
  plan_.inputs = first;
  plan_.outputs = last;
  Arrays arrays(ends);
  if (ends.contains("embedding")) {
    vocabulary_ = arrays.extent("embedding", 0);
    const float* table = arrays.required("embedding", {vocabulary_, first});
    plan_.embedding = copy(table, static_cast<size_t>(vocabulary_) * static_cast<size_t>(first));
  }
  if (ends.contains("head")) {
    plan_.outputs = arrays.extent("head", 0);
    const int n = plan_.outputs;
    plan_.head = pack(arrays.required("head", {n, last}), last, n, 1);
    float* bias = static_cast<float*>(keep(sizeof(float) * (static_cast<size_t>(n) + 64)));
    std::fill(bias, bias + n + 64, 0.0f);
    if (const float* given = arrays.floats("head_bias", {n})) std::copy(given, given + n, bias);
    plan_.head_bias = bias;
    work_ += 2.0 * n * last;
  }
}

void Model::add_layer(nb::dict given) {
  StreamLayer layer = {};
  Recurrence& p = layer.p;
  Arrays in(given);
  p.cell = cell_of(nb::cast<std::string>(given["cell"]));
  const int G = gates_of(p.cell);
  p.I = in.extent("w_ih", 1);
  p.P = in.extent("w_hh", 1);
  p.H = in.extent("w_hh", 0) / G;
  const int H = p.H, P = p.P, gates = G * H;
  require(H > 0 && P > 0 && p.I > 0, "layers: expected at least one input and one unit");
  require(layers_.empty() || layers_.back().p.P == p.I,
          "layers: expected each to take what the one below puts out");
  const size_t wide = static_cast<size_t>(gates), units = static_cast<size_t>(H);
  layer.ih = pack(in.required("w_ih", {gates, p.I}), p.I, H, G);
  layer.hh = pack(in.required("w_hh", {gates, P}), P, H, G);
  if (P != H) {
    require(p.cell != GRU, "w_hr: the GRU has no projection here");
    layer.hr = pack(in.required("w_hr", {P, H}), H, P, 1);
  }
  p.b_ih = copy(in.floats("b_ih", {gates}), wide);
  p.b_hh = copy(in.floats("b_hh", {gates}), wide);
  p.peephole = copy(in.floats("peephole", {3, H}), 3 * units);
  p.norm_ih = copy(in.floats("norm_ih", {gates}), wide);
  p.norm_hh = copy(in.floats("norm_hh", {gates}), wide);
  p.norm_c = copy(in.floats("norm_c", {H}), units);
  p.norm_c_bias = copy(in.floats("norm_c_bias", {H}), units);
  require(!p.norm_ih == !p.norm_hh, "norm_ih and norm_hh: give both or none");
  float* bias = static_cast<float*>(keep(sizeof(float) * kernels().bias_size(p)));
  kernels().pack_bias(p, bias);
  layer.bias = bias;
  if (given.contains("residual")) layer.residual = nb::cast<bool>(given["residual"]);
  require(!layer.residual || p.I == P, "residual: expected as many outputs as inputs");
  if (given.contains("zoneout")) {
    nb::tuple zoneout = nb::cast<nb::tuple>(given["zoneout"]);
    std::vector<float> row(static_cast<size_t>(std::max(H, P)));
    std::fill(row.begin(), row.end(), nb::cast<float>(zoneout[0]));
    layer.keep_h = copy(row.data(), static_cast<size_t>(P));
    if (p.cell == LSTM) {
      std::fill(row.begin(), row.end(), nb::cast<float>(zoneout[1]));
      layer.keep_c = copy(row.data(), units);
    }
  }
  layer.h = initial_.size();
  layer.c = layer.h + line(static_cast<size_t>(P));
  initial_.resize(layer.c + (p.cell == LSTM ? line(units) : 0));
  if (const float* h0 = in.floats("h0", {P})) std::copy(h0, h0 + P, &initial_[layer.h]);
  const float* c0 = p.cell == LSTM ? in.floats("c0", {H}) : nullptr;
  if (c0) std::copy(c0, c0 + H, &initial_[layer.c]);
  work_ += 2.0 * gates * (p.I + P);
  layers_.push_back(layer);
}

void* Model::keep(size_t bytes) {
  memory_.emplace_back(bytes);
  bytes_ += bytes;
  return memory_.back().get();
}

const float* Model::copy(const float* from, size_t n) {
  if (!from) return nullptr;
  float* to = static_cast<float*>(keep(sizeof(float) * n));
  std::copy(from, from + n, to);
  return to;
}

const void* Model::pack(const float* w, int K, int units, int gates) {
  void* to = keep(kernels().packed_size(K, units, gates, plan_.precision));
  kernels().pack(w, K, units, gates, plan_.precision, to);
  return to;
}

// Holds the streams for the length of a call.
class Streams::Turn {
 public:
  explicit Turn(Streams& streams) : busy_(streams.busy_) {
    if (busy_.test_and_set(std::memory_order_acquire))
      throw std::runtime_error("these streams are in use by another thread: give each its own");
  }
  ~Turn() { busy_.clear(std::memory_order_release); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  std::atomic_flag& busy_;
};

Streams::Streams(std::shared_ptr<Model> model, int capacity)
    : model_(std::move(model)), capacity_(capacity), stride_(line(model_->state_size())) {
  require(capacity > 0, "capacity: expected at least 1");
  arena_ = Aligned(sizeof(float) * stride_ * static_cast<size_t>(capacity));
  seen_.assign(static_cast<size_t>(capacity), 0);
  states_.assign(static_cast<size_t>(capacity), nullptr);
  for (int i = 0; i < capacity; i++) reset(i);
}

float* Streams::at(int stream) const {
  return static_cast<float*>(arena_.get()) + stride_ * static_cast<size_t>(stream);
}

void Streams::check(int stream) const {
  if (stream < 0 || stream >= capacity_)
    throw nb::value_error(("stream: expected 0 to " + std::to_string(capacity_ - 1) + ", given " +
                           std::to_string(stream))
                              .c_str());
}

void Streams::reset(int stream) {
  check(stream);
  Turn turn(*this);
  std::copy(model_->initial().begin(), model_->initial().end(), at(stream));
}

nb::bytes Streams::state(int stream) {
  check(stream);
  Turn turn(*this);
  return nb::bytes(at(stream), sizeof(float) * model_->state_size());
}

void Streams::set_state(nb::bytes state, int stream) {
  check(stream);
  require(state.size() == sizeof(float) * model_->state_size(), "state: is of another model");
  Turn turn(*this);
  std::memcpy(at(stream), state.data(), state.size());
}

void Streams::reorder(nb::object rows) {
  Turn turn(*this);
  const View view(rows, false);
  require_array(view, "rows");
  require(view.dimensions() == 1 && view.is('i'), "rows: expected int32 [n]");
  const int32_t* row = view.data<const int32_t>();
  const size_t n = static_cast<size_t>(view.size(0));
  require(n <= static_cast<size_t>(capacity_), "rows: more than there are streams");
  for (size_t i = 0; i < n; i++) check(row[i]);
  if (!spare_.get()) spare_ = Aligned(sizeof(float) * stride_ * static_cast<size_t>(capacity_));
  float* to = static_cast<float*>(spare_.get());
  auto moves = [&](size_t i) { return static_cast<size_t>(row[i]) != i; };
  for (size_t i = 0; i < n; i++)
    if (moves(i)) std::copy_n(at(row[i]), stride_, to + stride_ * i);
  for (size_t i = 0; i < n; i++)
    if (moves(i)) std::copy_n(to + stride_ * i, stride_, at(static_cast<int>(i)));
}

nb::object Streams::push(nb::object x) {
  Turn turn(*this);
  states_[0] = at(0);
  return run(x, 1, false);
}

nb::object Streams::step(nb::object ids, nb::object x) {
  Turn turn(*this);
  const View view(ids, false);
  require_array(view, "ids");
  require(view.dimensions() == 1 && view.is('i'), "ids: expected int32 [n]");
  const int rows = static_cast<int>(view.size(0));
  const int32_t* id = view.data<const int32_t>();
  round_++;
  if (rows > capacity_) throw nb::value_error("ids: more than there are streams");
  for (int r = 0; r < rows; r++) {
    check(id[r]);
    uint64_t& seen = seen_[static_cast<size_t>(id[r])];
    require(seen != round_, "ids: expected each stream once");
    seen = round_;
    states_[static_cast<size_t>(r)] = at(id[r]);
  }
  return run(x, rows, true);
}

// `rows` streams, one step each if there are many, else as many steps as x has rows.
nb::object Streams::run(nb::handle x, int rows, bool many) {
  const StreamModel& plan = model_->plan();
  const bool tokens = model_->vocabulary() > 0;
  if (tokens && !many && PyLong_CheckExact(x.ptr())) {  // one id, without an array around it
    int overflow = 0;
    const int64_t id = PyLong_AsLongLongAndOverflow(x.ptr(), &overflow);
    return advance({nullptr, &id, 1, true}, 1, false);
  }
  const View view(x, false);
  require_array(view, "x");
  const int own = tokens ? 0 : 1;  // dimensions of one step's input
  const bool single = !many && view.dimensions() == own;
  if (!(single || view.dimensions() == own + 1) ||
      (!tokens && view.size(view.dimensions() - 1) != plan.inputs) ||
      (many && view.size(0) != rows)) {
    std::string wanted = many ? std::to_string(rows) : "one step or [n]";
    if (!tokens) wanted += " of " + std::to_string(plan.inputs) + " numbers";
    throw nb::value_error(("x: expected " + wanted + ", given shape " + view.shape()).c_str());
  }
  if (!view.is(tokens ? 'q' : 'f'))
    throw nb::type_error(tokens ? "x: expected int64 token ids" : "x: expected float32");
  const size_t count = single ? 1 : static_cast<size_t>(view.size(0));
  if (tokens) return advance({nullptr, view.data<const int64_t>(), count, single}, rows, many);
  return advance({view.data<const float>(), nullptr, count, single}, rows, many);
}

nb::object Streams::advance(const Input& input, int rows, bool many) {
  const StreamModel& plan = model_->plan();
  const size_t inputs = static_cast<size_t>(plan.inputs), count = input.count;
  const size_t outputs = static_cast<size_t>(plan.outputs);
  for (size_t i = 0; input.ids && i < count; i++)
    if (input.ids[i] < 0 || input.ids[i] >= model_->vocabulary())
      throw nb::value_error(("x: expected ids from 0 to " +
                             std::to_string(model_->vocabulary() - 1) + ", given " +
                             std::to_string(input.ids[i]))
                                .c_str());
  nb::object result = input.single ? empty_floats(nb::int_(outputs))
                                   : empty_floats(nb::make_tuple(count, outputs));
  const View out(result, true);
  require_array(out, "result");
  const size_t chunk = many ? static_cast<size_t>(rows) : CHUNK;
  make_room(static_cast<int>(std::min(chunk, count)));
  auto work = [&] {
    for (size_t begin = 0; begin < count; begin += chunk) {
      const size_t n = std::min(chunk, count - begin);
      for (size_t i = 0; i < n; i++) {
        x_[i] = input.ids ? plan.embedding + inputs * static_cast<size_t>(input.ids[begin + i])
                          : input.numbers + (begin + i) * inputs;
        y_[i] = out.data<float>() + (begin + i) * outputs;
      }
      StreamCall call = {many ? 1 : static_cast<int>(n), many ? rows : 1, states_.data(),
                         x_.data(), y_.data(), scratch_.get()};
      kernels().stream(plan, call);
    }
  };
  if (model_->work() * static_cast<double>(count) > LONG_WORK) {
    nb::gil_scoped_release unlocked;
    work();
  } else {
    work();
  }
  return result;
}

// Scratch for so many positions; it only grows.
void Streams::make_room(int positions) {
  if (positions <= room_) return;
  scratch_ = Aligned(kernels().stream_scratch(model_->plan(), positions));
  x_.resize(static_cast<size_t>(positions));
  y_.resize(static_cast<size_t>(positions));
  room_ = positions;
}

}  // namespace loopwise
