// The kernels, compiled once for each instruction set. No standard library templates in here or in
// what it includes: see vector.h.
#include "backward.h"
#include "forward.h"
#include "head.h"
#include "joiner.h"
#include "lattice.h"
#include "stream.h"
#include "surprisal.h"

namespace LOOPWISE_ISA {

static void activate_all(int function, const float* x, float* y, ptrdiff_t n) {
  NoDenormals guard;
  for (ptrdiff_t i = 0; i < n; i += WIDTH) {
    int lanes = n - i < WIDTH ? (int)(n - i) : WIDTH;
    Vec v = load(x + i, lanes);
    store(y + i, function ? tanh(v) : sigmoid(v), lanes);
  }
}

extern const loopwise::Kernels kernels;
const loopwise::Kernels kernels = {
    LOOPWISE_NAME,  forward, backward,  packed_size, pack,   bias_size, fill_bias,
    stream_scratch, stream,  surprisal, head,        joiner, lattice,   activate_all};

}  // namespace LOOPWISE_ISA
