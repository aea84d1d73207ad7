// The kernels without Python, for machines that only an emulator has: `make neon`.
//
//   check FILE
//
// Every instruction set of this machine must compute what FILE holds, on one thread and on three.
// Where there is no such file the best of them writes it; what that one computes is right
// wherever the tests in Python pass.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

#include "dispatch.h"

namespace {

using namespace loopwise;

typedef std::vector<float> Floats;

size_t size(std::initializer_list<int> shape) {
  size_t n = 1;
  for (int each : shape) n *= static_cast<size_t>(each);
  return n;
}

struct Result {
  std::string name;
  float tolerance;  // of 1 + the largest number
  const float* numbers;
  size_t count;
};

// Numbers that are the same on every machine, and what comes of them.
class Desk {
 public:
  float* results(const std::string& name, std::initializer_list<int> shape,
                 float tolerance = 1e-5f) {
    float* to = zeros(shape);
    found.push_back({name, tolerance, to, size(shape)});
    return to;
  }
  float* zeros(std::initializer_list<int> shape) {
    memory_.emplace_back(size(shape));
    return memory_.back().data();
  }
  float* numbers(std::initializer_list<int> shape, float scale = 1) {  // from -scale to scale
    float* to = zeros(shape);
    for (size_t i = 0; i < size(shape); i++) {
      state_ = state_ * 1664525u + 1013904223u;
      to[i] = scale * (static_cast<float>(state_ >> 8) / 8388608.0f - 1);
    }
    return to;
  }

  std::vector<Result> found;

 private:
  std::deque<Floats> memory_;
  uint32_t state_ = 1;
};

const char* const CELLS[] = {"rnn_tanh", "rnn_relu", "lstm", "gru"};

Recurrence weights(Desk& desk, int cell, int I, int H, int P) {
  Recurrence p = {};
  p.cell = cell, p.I = I, p.H = H, p.P = P;
  const int gates = gates_of(cell) * H;
  const float scale = 2 / std::sqrt(static_cast<float>(H));
  p.w_ih = desk.numbers({gates, I}, scale), p.w_hh = desk.numbers({gates, P}, scale);
  p.b_ih = desk.numbers({gates}), p.b_hh = desk.numbers({gates});
  if (P != H) p.w_hr = desk.numbers({P, H}, scale);
  return p;
}

// Forwards and backwards, plain or with everything that there is.
void layer(const Kernels& k, Desk& desk, int threads, int cell, int T, int B, int H, bool all) {
  static const int32_t order[] = {2, 0, 4, 1, 6, 3, 5};
  static const uint8_t reset[64 * 7] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1};
  const int P = all && cell != GRU ? H / 2 : H, I = 9, G = gates_of(cell) * H;
  const int kept = kept_of(cell) * H;
  const bool lstm = cell == LSTM;
  std::vector<int32_t> length;
  Recurrence p = weights(desk, cell, I, H, P);
  p.T = T, p.B = B, p.threads = threads, p.reverse = all;
  p.x = desk.numbers({T, B, I}), p.h0 = desk.numbers({B, P});
  if (lstm) p.c0 = desk.numbers({B, H});
  if (all) {
    for (int r = 0; r < B; r++) length.push_back(T * (B - r) / B - (r == B - 1));
    p.order = order, p.length = length.data(), p.reset = reset;
    p.restart_h = desk.numbers({B, P}), p.mask = desk.numbers({B, P});
    p.keep_h = desk.numbers({T, B, P}, 0.5f);
    p.norm_ih = desk.numbers({G}), p.norm_hh = desk.numbers({G});
    p.share_x = desk.zeros({T, B, G}), p.share_h = desk.zeros({T, B, G});
    if (lstm) {
      p.restart_c = desk.numbers({B, H}), p.keep_c = desk.numbers({T, B, H}, 0.5f);
      p.peephole = desk.numbers({3, H});
      p.norm_c = desk.numbers({H}), p.norm_c_bias = desk.numbers({H});
    }
  }
  const std::string name =
      std::string(all ? "all of " : "") + CELLS[cell] + " " + std::to_string(H);
  auto result = [&](const char* what, std::initializer_list<int> shape) {
    return desk.results(name + ", " + what, shape);
  };
  p.y = result("y", {T, B, P}), p.hn = result("hn", {B, P}), p.kept = result("kept", {T, B, kept});
  if (lstm) p.cn = result("cn", {B, H}), p.cells = result("cells", {T, B, H});
  k.forward(p);
  Recurrence inference = p;
  inference.kept = inference.cells = inference.share_x = inference.share_h = nullptr;
  inference.y = result("y alone", {T, B, P});
  k.forward(inference);
  auto pack = [&](const float* w, int K, int units, int gates) {
    const size_t bytes = k.packed_size(K, units, gates, FLOAT32);
    float* to = desk.zeros({static_cast<int>(bytes / sizeof(float))});
    k.pack(w, K, units, gates, FLOAT32, to);
    return to;
  };
  inference.packed_ih = pack(p.w_ih, I, H, G / H), inference.packed_hh = pack(p.w_hh, P, H, G / H);
  if (P != H) inference.packed_hr = pack(p.w_hr, H, P, 1);
  inference.y = result("y of packed weights", {T, B, P});
  k.forward(inference);

  Gradients g = {};
  g.y = desk.numbers({T, B, P}), g.hn = desk.numbers({B, P});
  if (lstm) g.cn = desk.numbers({B, H});
  g.gates = desk.zeros({T, B, kept}), g.share_h = desk.zeros({T, B, G});
  g.out = desk.zeros({T, B, H}), g.narrow = desk.zeros({T, B, P});
  g.x = result("d x", {T, B, I}), g.h0 = result("d h0", {B, P});
  g.w_ih = result("d w_ih", {G, I}), g.w_hh = result("d w_hh", {G, P});
  g.b_ih = result("d b_ih", {G}), g.b_hh = result("d b_hh", {G});
  if (lstm) g.c0 = result("d c0", {B, H});
  if (all) {
    g.restart_h = result("d restart_h", {B, P});
    g.norm_ih = result("d norm_ih", {G}), g.norm_hh = result("d norm_hh", {G});
    if (P != H) g.w_hr = result("d w_hr", {P, H});
    if (lstm) {
      g.restart_c = result("d restart_c", {B, H}), g.peephole = result("d peephole", {3, H});
      g.norm_c = result("d norm_c", {H}), g.norm_c_bias = result("d norm_c_bias", {H});
    }
  }
  k.backward(p, g);
}

// Two layers and a head, some steps of one stream and of several.
void streams(const Kernels& k, Desk& desk, int cell, int precision) {
  static const char* const NAMES[] = {"float32", "bfloat16", "int8"};
  const int I = 10, H = 37, steps = 5, outputs = 21;
  const size_t line = 48;
  auto pack = [&](const float* w, int K, int units, int gates) {
    const size_t bytes = k.packed_size(K, units, gates, precision);
    float* to = desk.zeros({static_cast<int>(bytes / 4 + 1)});
    k.pack(w, K, units, gates, precision, to);
    return to;
  };
  StreamLayer layers[2] = {};
  for (size_t i = 0; i < 2; i++) {
    StreamLayer& l = layers[i];
    const int G = gates_of(cell), inputs = i ? H : I;
    l.p = weights(desk, cell, inputs, H, H);
    l.ih = pack(l.p.w_ih, inputs, H, G), l.hh = pack(l.p.w_hh, H, H, G);
    float* bias = desk.zeros({static_cast<int>(k.bias_size(l.p))});
    k.pack_bias(l.p, bias);
    l.bias = bias, l.residual = i, l.h = 2 * i * line, l.c = l.h + line;
  }
  StreamModel m = {};
  m.precision = precision, m.layers = 2, m.inputs = I, m.outputs = outputs, m.layer = layers;
  m.head = pack(desk.numbers({outputs, H}), H, outputs, 1);
  m.head_bias = desk.zeros({outputs + 64});
  for (int rows : {1, 7}) {
    const std::string name = std::string("stream of ") + NAMES[precision] + " " + CELLS[cell];
    float* y = desk.results(name, {steps, rows, outputs}, precision == INT8 ? 0.02f : 1e-5f);
    const float* x = desk.numbers({steps, rows, I});
    const size_t count = size({steps, rows});
    std::vector<float*> states, to;
    std::vector<const float*> from;
    for (int r = 0; r < rows; r++) states.push_back(desk.zeros({4 * static_cast<int>(line)}));
    for (size_t i = 0; i < count; i++) from.push_back(x + i * I), to.push_back(y + i * outputs);
    std::vector<char> scratch(k.stream_scratch(m, steps * rows));
    k.stream(m, {steps, rows, states.data(), from.data(), to.data(), scratch.data()});
  }
}

void surprisal(const Kernels& k, Desk& desk, int threads) {
  const int rows = 9, classes = 101;
  const int64_t targets[rows] = {0, 5, -1, 100, 64, 63, 31, 7, 99};
  float* logits = desk.results("surprisal, d logits", {rows, classes});
  const float* given = desk.numbers({rows, classes}, 8);
  std::copy(given, given + size({rows, classes}), logits);
  k.surprisal({logits, false, rows, classes, threads, targets, 0.5f,
               desk.results("surprisal", {rows})});
  std::vector<uint16_t> halves(size({rows, classes}));
  for (size_t i = 0; i < halves.size(); i++) {
    uint32_t bits;
    std::memcpy(&bits, given + i, sizeof bits);
    halves[i] = static_cast<uint16_t>(bits >> 16);
  }
  k.surprisal({halves.data(), true, rows, classes, threads, targets, 0.5f,
               desk.results("surprisal of bfloat16", {rows})});
  float* wide = desk.results("surprisal of bfloat16, d logits", {rows, classes}, 0.004f);
  for (size_t i = 0; i < halves.size(); i++) {
    uint32_t bits = static_cast<uint32_t>(halves[i]) << 16;
    std::memcpy(wide + i, &bits, sizeof bits);
  }
}

void head(const Kernels& k, Desk& desk) {
  const int rows = 40, features = 37, classes = 300;
  int64_t targets[rows];
  for (int i = 0; i < rows; i++) targets[i] = i % 7 == 3 ? -1 : i * 7 + 1;
  loopwise::Head h = {};
  h.rows = rows, h.features = features, h.classes = classes, h.at_once = 24;
  h.threads = 1;  // which thread has which classes shows in the sums of d x
  h.x = desk.numbers({rows, features}), h.weight = desk.numbers({classes, features});
  h.bias = desk.numbers({classes}), h.targets = targets, h.nats = desk.results("head", {rows});
  h.d_x = desk.results("head, d x", {rows, features});
  h.d_weight = desk.results("head, d weight", {classes, features});
  h.d_bias = desk.results("head, d bias", {classes});
  k.head(h);
}

void transducer(const Kernels& k, Desk& desk, int threads) {
  const int T = 11, B = 3, places = 6, features = 37, classes = 70;
  const int64_t lengths[] = {11, 5, 9}, target_lengths[] = {3, 5, 0};
  int64_t targets[(places - 1) * B];
  for (int i = 0; i < (places - 1) * B; i++) targets[i] = 1 + i * 7 % (classes - 1);
  const Transcripts of = {T, B, places, targets, lengths, target_lengths};
  Joiner j = {};
  j.of = of, j.features = features, j.classes = classes, j.threads = threads, j.at_once = 1;
  j.encoded = desk.numbers({T, B, features}), j.predicted = desk.numbers({places, B, features});
  j.weight = desk.numbers({classes, features}), j.bias = desk.numbers({classes});
  float* log_probs = desk.results("joiner", {B, T, places, 2});
  j.log_probs = log_probs;
  k.joiner(j);
  float* shares = desk.results("lattice, d log_probs", {B, T, places, 2});
  k.lattice({of, threads, log_probs, desk.results("lattice", {B}), shares});
  j.log_probs = nullptr, j.d_log_probs = shares;
  j.d_encoded = desk.results("joiner, d encoded", {T, B, features});
  j.d_predicted = desk.results("joiner, d predicted", {places, B, features});
  j.d_weight = desk.results("joiner, d weight", {classes, features});
  j.d_bias = desk.results("joiner, d bias", {classes});
  k.joiner(j);
}

void functions(const Kernels& k, Desk& desk) {
  const int n = 4001;
  const float* x = desk.numbers({n}, 20);
  k.activate(0, x, desk.results("sigmoid", {n}, 1e-7f), n);
  k.activate(1, x, desk.results("tanh", {n}, 1e-7f), n);
}

std::vector<Result> compute(const Kernels& k, Desk& desk, int threads) {
  functions(k, desk);
  surprisal(k, desk, threads);
  head(k, desk);
  transducer(k, desk, threads);
  for (int cell : {RNN_TANH, RNN_RELU, LSTM, GRU}) {
    layer(k, desk, threads, cell, 40, 7, 37, false);
    layer(k, desk, threads, cell, 40, 7, 37, true);
    layer(k, desk, threads, cell, 3, 2, 260, false);  // whose units are shared among threads
    for (int precision : {FLOAT32, BFLOAT16, INT8}) streams(k, desk, cell, precision);
  }
  return desk.found;
}

Floats joined(const std::vector<Result>& results) {
  Floats all;
  for (const Result& each : results)
    all.insert(all.end(), each.numbers, each.numbers + each.count);
  return all;
}

Floats read(const char* path) {
  Floats numbers;
  if (std::FILE* file = std::fopen(path, "rb")) {
    float next;
    while (std::fread(&next, sizeof next, 1, file)) numbers.push_back(next);
    std::fclose(file);
  }
  return numbers;
}

void write(const char* path, const Floats& numbers) {
  std::FILE* file = std::fopen(path, "wb");
  if (!file) throw std::runtime_error(std::string("cannot write ") + path);
  std::fwrite(numbers.data(), sizeof(float), numbers.size(), file);
  std::fclose(file);
}

// Whether results are near what is expected; says which are not.
bool near(const std::vector<Result>& results, const Floats& expected) {
  if (joined(results).size() != expected.size())
    throw std::runtime_error("FILE is of another version of this program");
  bool good = true;
  const float* want = expected.data();
  for (const Result& each : results) {
    float most = 1, error = 0;
    for (size_t i = 0; i < each.count; i++) {
      const float off = std::fabs(each.numbers[i] - want[i]);
      most = std::max(most, 1 + std::fabs(want[i]));
      error = std::isnan(off) ? INFINITY : std::max(off, error);
    }
    if (!(error <= each.tolerance * most)) {
      std::printf("  %s: off by %g\n", each.name.c_str(), static_cast<double>(error));
      good = false;
    }
    want += each.count;
  }
  return good;
}

bool check(const std::string& isa, const char* path) {
  Desk one, three;
  const std::vector<Result> results = compute(kernels(isa), one, 1);
  const Floats found = joined(results), again = joined(compute(kernels(isa), three, 3));
  Floats expected = read(path);
  if (expected.empty()) write(path, expected = found);
  bool good = near(results, expected);
  size_t equal = 0;
  for (size_t i = 0; i < found.size(); i++) equal += found[i] == expected[i];
  if (std::memcmp(found.data(), again.data(), sizeof(float) * found.size()) != 0) {
    std::printf("  three threads do not give the bits of one\n");
    good = false;
  }
  std::printf("%s: %s, %zu results, %zu of %zu numbers the same to the bit\n", isa.c_str(),
              good ? "right" : "WRONG", results.size(), equal, found.size());
  return good;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: check FILE\n");
    return 2;
  }
  try {
    bool good = true;
    for (const std::string& isa : offered()) good = check(isa, arguments[1]) && good;
    return good ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "check: %s\n", error.what());
    return 2;
  }
}
