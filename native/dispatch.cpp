#include "dispatch.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <stdexcept>
#include <string>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace loopwise_baseline { extern const loopwise::Kernels kernels; }
#if defined(__x86_64__)
namespace loopwise_avx2 { extern const loopwise::Kernels kernels; }
namespace loopwise_avx512 { extern const loopwise::Kernels kernels; }
namespace loopwise_avx512vnni { extern const loopwise::Kernels kernels; }
namespace loopwise_amx { extern const loopwise::Kernels kernels; }
#elif defined(__aarch64__)
namespace loopwise_neon { extern const loopwise::Kernels kernels; }
#endif

namespace loopwise {

namespace {

struct Candidate {
  const Kernels* kernels;
  bool present;
};

#if defined(__x86_64__)
// Whether there are tiles of bfloat16, and the operating system lets this process use them.
bool tiles() {
#if defined(__linux__)
  const int REQUEST = 0x1023, TILE_DATA = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned a, b, c, d;
  const bool present = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) && (d >> 24 & 1);
  return present && syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
#else
  return false;
#endif
}
#elif defined(__aarch64__)
bool has_dot_products() {
#if defined(__linux__)
  return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#elif defined(__APPLE__)
  return true;  // every Mac with an ARM processor
#else
  return false;
#endif
}
#endif

std::vector<Candidate> candidates() {  // the best first
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  return {
      {&loopwise_amx::kernels, vnni && __builtin_cpu_supports("avx512bf16") && tiles()},
      {&loopwise_avx512vnni::kernels, vnni},
      {&loopwise_avx512::kernels, avx512},
      {&loopwise_avx2::kernels, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")},
      {&loopwise_baseline::kernels, true},
  };
#elif defined(__aarch64__)
  return {
      {&loopwise_neon::kernels, has_dot_products()},
      {&loopwise_baseline::kernels, true},
  };
#else
  return {{&loopwise_baseline::kernels, true}};
#endif
}

}  // namespace

const Kernels& kernels(const std::string& asked) {
  std::string known, here;
  for (const Candidate& candidate : candidates()) {
    const std::string name = candidate.kernels->name;
    if (candidate.present && (asked.empty() || asked == name)) return *candidate.kernels;
    known += (known.empty() ? "" : ", ") + name;
    if (candidate.present) here += (here.empty() ? "" : ", ") + name;
  }
  throw std::runtime_error("LOOPWISE_ISA='" + asked + "': expected one of " + known +
                           "; this machine offers " + here);
}

std::vector<std::string> offered() {
  std::vector<std::string> names;
  for (const Candidate& candidate : candidates())
    if (candidate.present) names.push_back(candidate.kernels->name);
  return names;
}

const Kernels& kernels() {
  static const char* asked = std::getenv("LOOPWISE_ISA");
  static const Kernels& chosen = kernels(asked ? asked : "");
  return chosen;
}

}  // namespace loopwise
