// Scratch memory, and a barrier for threads that share a step.
#pragma once

#include <sched.h>

#include <new>

#include "scratch.h"
#include "vector.h"

namespace LOOPWISE_ISA {

// Scratch memory of one call: n objects of T, from a cache line's beginning.
template <class T>
class Buffer {
 public:
  explicit Buffer(size_t n) : bytes_(n * sizeof(T) + 64) {  // `copy_few` writes beyond an end
    data_ = n ? (T*)loopwise::borrow(bytes_) : nullptr;
    if (n && !data_) throw std::bad_alloc();
  }
  ~Buffer() {
    if (data_) loopwise::give_back(data_, bytes_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  operator T*() const { return data_; }

 private:
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
