// Which kernels this machine runs.
#pragma once

#include "recurrence.h"

namespace loopwise {

// The kernels for the best instruction set of this machine, or for the one that LOOPWISE_ISA names.
// Throws std::runtime_error if that one is unknown, or the machine lacks it.
const Kernels& kernels();

}  // namespace loopwise
