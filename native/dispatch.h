// Which kernels this machine runs.
#pragma once

#include <string>
#include <vector>

#include "recurrence.h"

namespace loopwise {

// The kernels for the best instruction set of this machine, or for the one that LOOPWISE_ISA names.
// Throws std::runtime_error if that one is unknown, or the machine lacks it.
const Kernels& kernels();

// The kernels for one instruction set, for the best where its name is empty.
const Kernels& kernels(const std::string& asked);

// The instruction sets that this machine can be asked for, the best first.
std::vector<std::string> offered();

}  // namespace loopwise
