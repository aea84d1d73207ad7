// Scratch memory, and a barrier for threads that share a step.
#pragma once

#include <sched.h>

#include <new>

#if defined(_OPENMP)
#include <omp.h>
#else  // teams of one
static inline int omp_get_num_threads() { return 1; }
static inline int omp_get_thread_num() { return 0; }
#endif

#include "scratch.h"
#include "vector.h"

namespace LOOPWISE_ISA {

// Scratch memory of one call: n objects of T, from a cache line's beginning.
template <class T>
class Buffer {
 public:
  // From a cache line's beginning to a cache line beyond the end: `copy_few` writes there.
  explicit Buffer(size_t n) : bytes_(n * sizeof(T) + 64), data_(take(n)) {
    if (n && !data_) throw std::bad_alloc();
  }
  // In a team of threads, which no exception may leave: notes where there is no memory.
  Buffer(size_t n, bool& failed) : bytes_(n * sizeof(T) + 64), data_(take(n)) {
    if (n && !data_) __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
  }
  ~Buffer() {
    if (data_) loopwise::give_back(data_, bytes_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  operator T*() const { return data_; }

 private:
  T* take(size_t n) const { return n ? (T*)loopwise::borrow(bytes_) : nullptr; }

  size_t bytes_;
  T* data_;
};

// Lets the threads that share the columns of a step wait for each other. Each has a line of its own
// to say how often it has come, and reads those of the others: two cores then exchange one message
// each, not three. They spin, as a step takes microseconds; `sched_yield` keeps a machine with too
// few cores from standing still.
class Barrier {
 public:
  explicit Barrier(int size) : size_(size), came_((size_t)size * LINE) {
    for (int i = 0; i < size * LINE; i++) came_[i] = 0;
  }
  void wait(int thread) {
    const int times = came_[thread * LINE] + 1;
    __atomic_store_n(came_ + thread * LINE, times, __ATOMIC_RELEASE);
    for (int i = 0; i < size_; i++)
      for (int spins = 0; __atomic_load_n(came_ + i * LINE, __ATOMIC_ACQUIRE) < times; spins++)
        if (spins > 4000) sched_yield();
  }
  void resize(int size) { size_ = size; }  // to fewer

 private:
  static constexpr int LINE = 32;  // numbers: two cache lines, as they may be fetched in pairs
  int size_;
  Buffer<int> came_;
};

}  // namespace LOOPWISE_ISA
