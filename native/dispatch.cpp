#include "dispatch.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace loopwise_baseline { extern const loopwise::Kernels kernels; }
#if defined(__x86_64__)
namespace loopwise_avx2 { extern const loopwise::Kernels kernels; }
namespace loopwise_avx512 { extern const loopwise::Kernels kernels; }
#endif

namespace loopwise {

namespace {

struct Candidate {
  const Kernels* kernels;
  bool present;
};

const Kernels& choose() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const Candidate candidates[] = {
      {&loopwise_avx512::kernels, __builtin_cpu_supports("avx512f") &&
                                      __builtin_cpu_supports("avx512bw") &&
                                      __builtin_cpu_supports("avx512dq") &&
                                      __builtin_cpu_supports("avx512vl")},
      {&loopwise_avx2::kernels, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")},
      {&loopwise_baseline::kernels, true},
  };
#else
  const Candidate candidates[] = {{&loopwise_baseline::kernels, true}};
#endif
  const char* asked = std::getenv("LOOPWISE_ISA");
  if (!asked || !*asked) {
    for (const Candidate& candidate : candidates)
      if (candidate.present) return *candidate.kernels;
  }
  std::string known;
  for (const Candidate& candidate : candidates) {
    if (asked == std::string(candidate.kernels->name)) {
      if (candidate.present) return *candidate.kernels;
      throw std::runtime_error(std::string("LOOPWISE_ISA=") + asked + ": this machine lacks it");
    }
    known += (known.empty() ? "" : ", ") + std::string(candidate.kernels->name);
  }
  throw std::runtime_error(std::string("LOOPWISE_ISA=") + asked + ": expected one of " + known);
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace loopwise
