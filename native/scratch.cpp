#include "scratch.h"

#include <atomic>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace loopwise {

namespace {

constexpr size_t LINE = 64, PAGE = size_t{2} << 20, MOST = size_t{512} << 20;
constexpr int PLACES = 64;

struct Place {
  void* memory;
  size_t bytes;
};

Place places[PLACES];
size_t kept = 0;
int next = 0;
std::atomic_flag busy = ATOMIC_FLAG_INIT;

// Whoever finds the places busy does without them: a process that was forked while another thread
// was here would wait for ever.
class Turn {
 public:
  Turn() : mine(!busy.test_and_set(std::memory_order_acquire)) {}
  ~Turn() {
    if (mine) busy.clear(std::memory_order_release);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  const bool mine;
};

bool large(size_t bytes) { return bytes >= 2 * PAGE; }

size_t rounded(size_t bytes) {
  const size_t unit = large(bytes) ? PAGE : LINE;
  return (bytes + unit - 1) / unit * unit;
}

std::align_val_t alignment(size_t bytes) { return std::align_val_t{large(bytes) ? PAGE : LINE}; }

void* take(size_t bytes) {
  void* memory = ::operator new(bytes, alignment(bytes), std::nothrow);
#if defined(__linux__)
  if (memory && large(bytes)) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish
#endif
  return memory;
}

void release(const Place& place) { ::operator delete(place.memory, alignment(place.bytes)); }

void empty(Place& place) {
  if (!place.memory) return;
  kept -= place.bytes;
  release(place);
  place.memory = nullptr;
}

}  // namespace

void* borrow(size_t bytes) {
  bytes = rounded(bytes);
  Turn turn;
  for (Place* place = places; turn.mine && place < places + PLACES; place++) {
    if (!place->memory || place->bytes != bytes) continue;
    void* memory = place->memory;
    place->memory = nullptr;
    kept -= bytes;
    return memory;
  }
  void* memory = take(bytes);
  if (memory || !turn.mine) return memory;
  for (Place& place : places) empty(place);  // what is kept must not be what is lacking
  return take(bytes);
}

void give_back(void* memory, size_t bytes) {
  const Place mine = {memory, rounded(bytes)};
  Turn turn;
  if (!turn.mine || mine.bytes > MOST) return release(mine);
  Place* free = nullptr;
  for (Place& place : places)
    if (!place.memory) free = &place;
  while (!free || kept + mine.bytes > MOST) {  // other sizes are asked for now
    Place& old = places[next];
    next = (next + 1) % PLACES;
    empty(old);
    if (!free) free = &old;
  }
  *free = mine;
  kept += mine.bytes;
}

}  // namespace loopwise
