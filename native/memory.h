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

// Lets the threads that share the columns of a step wait for each other. They spin: a step takes
// microseconds. `sched_yield` keeps a machine with too few cores from standing still.
class Barrier {
 public:
  explicit Barrier(int size) : size_(size), waiting_(0), round_(0) {}
  void wait() {
    int round = __atomic_load_n(&round_, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&waiting_, 1, __ATOMIC_ACQ_REL) == size_) {
      __atomic_store_n(&waiting_, 0, __ATOMIC_RELAXED);
      __atomic_store_n(&round_, round + 1, __ATOMIC_RELEASE);
      return;
    }
    for (int spins = 0; __atomic_load_n(&round_, __ATOMIC_ACQUIRE) == round; spins++)
      if (spins > 4000) sched_yield();
  }
  void resize(int size) { size_ = size; }

 private:
  int size_;
  alignas(64) int waiting_;
  alignas(64) int round_;
};

}  // namespace LOOPWISE_ISA
