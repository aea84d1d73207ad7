// Deployed models and their streams, as Python holds them.
#pragma once

#include <nanobind/nanobind.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "arrays.h"
#include "recurrence.h"

namespace nb = nanobind;

namespace loopwise {

// Memory that starts at a cache line and belongs to its holder.
class Aligned {
 public:
  Aligned() = default;
  explicit Aligned(size_t bytes);
  void* get() const { return data_.get(); }

 private:
  struct Free {
    void operator()(void* p) const;
  };
  std::unique_ptr<void, Free> data_;
};

// Weights, packed once and never changed: any number of streams may share them.
class Model {
 public:
  // Layers are dicts of arrays by the names of `Recurrence`, with "cell", and maybe "zoneout" (a
  // tuple), "residual", "h0" [P] and "c0" [H]. `ends` may hold "embedding", "head", "head_bias".
  Model(const std::string& precision, nb::list layers, nb::dict ends);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  size_t state_size() const { return initial_.size(); }
  size_t bytes() const { return bytes_; }
  const StreamModel& plan() const { return plan_; }
  const std::vector<float>& initial() const { return initial_; }
  int vocabulary() const { return vocabulary_; }  // 0 for plain input
  double work() const { return work_; }           // of a step of one stream, in operations

 private:
  void add_layer(nb::dict given);
  void* keep(size_t bytes);
  const float* copy(const float* from, size_t n);
  const void* pack(const float* w, int K, int units, int gates);

  StreamModel plan_ = {};
  std::vector<StreamLayer> layers_;
  std::vector<float> initial_;
  std::vector<Aligned> memory_;
  size_t bytes_ = 0;
  int vocabulary_ = 0;
  double work_ = 0;
};

// The states of streams of one model. A call from a second thread while one is at work is refused.
class Streams {
 public:
  Streams(std::shared_ptr<Model> model, int capacity);

  // Steps of the first stream: x [I] or [n, I], or token ids; the result has as many rows.
  nb::object push(nb::object x);
  // One step of each of some streams: ids [n] int32, all different, and x [n, I] or [n].
  nb::object step(nb::object ids, nb::object x);
  void reset(int stream);
  nb::bytes state(int stream);
  void set_state(nb::bytes state, int stream);
  // Streams 0 to n - 1 go on from where rows [n] int32 were, any of them any number of times; the
  // streams from n on keep their states.
  void reorder(nb::object rows);
  int capacity() const { return capacity_; }

 private:
  class Turn;
  // Steps' inputs: numbers or ids.
  struct Input {
    const float* numbers;
    const int64_t* ids;
    size_t count;
    bool single;  // without the dimension of steps
  };
  nb::object run(nb::handle x, int rows, bool many);
  nb::object advance(const Input& input, int rows, bool many);
  void make_room(int positions);
  float* at(int stream) const;
  void check(int stream) const;

  std::shared_ptr<Model> model_;
  int capacity_;
  size_t stride_;
  Aligned arena_, spare_, scratch_;  // spare: a second arena, from the first `reorder` on
  int room_ = 0;  // positions that the scratch has room for
  std::vector<float*> states_;
  std::vector<const float*> x_;
  std::vector<float*> y_;
  std::vector<uint64_t> seen_;
  uint64_t round_ = 0;
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
};

}  // namespace loopwise
