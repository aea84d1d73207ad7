// Memory that outlives a call. Scratch memory comes in the same sizes call after call; a system that
// takes it back and fills it with zeros again costs a fifth of the time of a small layer.
#pragma once

#include <stddef.h>

namespace loopwise {

// At least so many bytes, from a cache line's beginning, with whatever they hold; null where memory
// is exhausted. Any thread may call both.
void* borrow(size_t bytes);

// Keeps what `borrow` gave, up to 128 MiB in all, for the next who asks for as many.
void give_back(void* memory, size_t bytes);

}  // namespace loopwise
