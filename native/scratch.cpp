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

}  // namespace

void* borrow(size_t bytes) {
  bytes = rounded(bytes);
  {
    Turn turn;
    for (Place* place = places; turn.mine && place < places + PLACES; place++) {
      if (!place->memory || place->bytes != bytes) continue;
      void* memory = place->memory;
      place->memory = nullptr;
      kept -= bytes;
      return memory;
    }
  }
  return take(bytes);
}

void give_back(void* memory, size_t bytes) {
  bytes = rounded(bytes);
  Turn turn;
  if (turn.mine) {
    static int oldest = 0;  // makes room where other sizes are asked for now
    Place* free_one = nullptr;
    for (Place* place = places; !free_one && place < places + PLACES; place++)
      if (!place->memory) free_one = place;
    while (!free_one || kept + bytes > MOST) {
      if (bytes > MOST) break;
      Place* place = places + oldest;
      oldest = (oldest + 1) % PLACES;
      if (place->memory) {
        kept -= place->bytes;
        release(*place);
        place->memory = nullptr;
      }
      if (!free_one) free_one = place;
    }
    if (bytes <= MOST) {
      *free_one = {memory, bytes};
      kept += bytes;
      return;
    }
  }
  release({memory, bytes});
}

}  // namespace loopwise
