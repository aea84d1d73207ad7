// What this machine can do at most, as JSON: machine THREADS SECONDS SIZE...
//
// Multiply-adds a second that wait for nothing, on one thread and on THREADS, in GF/s; and what one
// thread reads a second of arrays of SIZE bytes that it has read before, in GB/s.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr size_t WIDTH = 16;
#elif defined(__AVX__)
constexpr size_t WIDTH = 8;
#else
constexpr size_t WIDTH = 4;
#endif
typedef float Vec __attribute__((vector_size(4 * WIDTH)));

static volatile float sink;

static double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The least time that a call took of those within some seconds.
template <class Call>
static double fastest(double seconds, Call call) {
  double best = 1e9;
  for (double end = now() + seconds, start; (start = now()) < end;) {
    call();
    best = std::min(best, now() - start);
  }
  return best;
}

constexpr int CHAINS = 12;  // more than a core works on at once, fewer than it has registers
constexpr long ROUNDS = 2000000;

static void multiply_add() {
  Vec factor = sink - Vec{}, sum[CHAINS];
  for (int i = 0; i < CHAINS; i++) sum[i] = factor + sink;  // equal, but the compiler cannot know
  for (long round = 0; round < ROUNDS; round++) {
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) sum[i] = sum[i] * factor + factor;
  }
  for (int i = 1; i < CHAINS; i++) sum[0] += sum[i];
  sink = sum[0][0] * 0;
}

static void multiply_add(int threads) {
  std::vector<std::thread> others;
  for (int i = 1; i < threads; i++) others.emplace_back([] { multiply_add(); });
  multiply_add();
  for (std::thread& other : others) other.join();
}

__attribute__((noinline)) static void read(const Vec* data, size_t count) {
  Vec sum[8] = {};
  for (size_t i = 0; i < count; i += 8) {
#pragma GCC unroll 8
    for (size_t k = 0; k < 8; k++) sum[k] += data[i + k];
  }
  for (int k = 1; k < 8; k++) sum[0] += sum[k];
  sink = sum[0][0] * 0;
}

int main(int count, char** arguments) {
  const int threads = std::atoi(arguments[1]);
  const double seconds = std::atof(arguments[2]), operations = 2.0 * ROUNDS * CHAINS * WIDTH;
  std::printf("{\"peak\": {");
  for (int n = 1; n <= threads; n += std::max(1, threads - 1))
    std::printf("%s\"%d\": %.4g", n > 1 ? ", " : "", n,
                n * operations / fastest(seconds, [&] { multiply_add(n); }) / 1e9);
  std::printf("}, \"read\": {");
  for (int k = 3; k < count; k++) {
    const size_t size = static_cast<size_t>(std::atol(arguments[k])), block = 8 * sizeof(Vec);
    const size_t repeats = 1 + (4 << 20) / size;
    Vec* data = static_cast<Vec*>(std::aligned_alloc(64, size));
    std::fill(data, data + size / sizeof(Vec), Vec{});
    const double time = fastest(seconds, [&] {
      for (size_t i = 0; i < repeats; i++) read(data, size / block * 8);
    });
    std::printf("%s\"%zu\": %.4g", k > 3 ? ", " : "", size,
                static_cast<double>(size * repeats) / time / 1e9);
    std::free(data);
  }
  std::printf("}}\n");
}
