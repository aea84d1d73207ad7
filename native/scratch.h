// Memory that outlives a call. Layers ask for the same sizes call after call, and for large ones the
// system takes the pages back and fills them with zeros again, which can cost as much as the
// computation.
#pragma once

#include <stddef.h>

namespace loopwise {

// At least so many bytes, from a cache line's beginning, with whatever they hold; null where memory
// is exhausted. Any thread may call both.
void* borrow(size_t bytes);

// Keeps what `borrow` gave, up to 512 MiB in all, for the next who asks for as many.
void give_back(void* memory, size_t bytes);

}  // namespace loopwise
