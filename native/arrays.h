// NumPy arrays and torch's tensors from Python, checked before anything is touched.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <deque>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "recurrence.h"
#include "view.h"

namespace nb = nanobind;

namespace loopwise {

inline void require(bool holds, const char* message) {
  if (!holds) throw nb::value_error(message);
}

// Keyword arguments that are arrays or tensors. Their memory stays while this object lives.
class Arrays {
 public:
  explicit Arrays(const nb::dict& given) : given_(given) {
    PyObject *name, *object;  // borrowed
    named_.reserve(given.size());
    for (Py_ssize_t i = 0; PyDict_Next(given.ptr(), &i, &name, &object);)
      if (object != Py_None) named_.push_back({nb::cast<std::string_view>(nb::handle(name)), object});
  }

  // The memory of an argument, or null where it is absent or None.
  template <class T>
  T* take(const char* name, char type, std::initializer_list<Py_ssize_t> shape) {
    PyObject* object = find(name);
    if (!object) return nullptr;
    constexpr bool written = !std::is_const_v<T>;
    const View& view = views_.emplace_back(object, written);
    if (!view.is_open())
      throw nb::type_error((std::string(name) + ": expected a C-contiguous array" +
                            (written ? " that may be written to" : ""))
                               .c_str());
    if (!view.is(type))
      throw nb::type_error(
          (std::string(name) + ": expected type '" + type + "', given '" + view.type() + "'").c_str());
    const int dimensions = static_cast<int>(shape.size());
    bool fits = view.dimensions() == dimensions;
    for (int i = 0; fits && i < dimensions; i++) fits = view.size(i) == shape.begin()[i];
    if (!fits)
      throw nb::value_error((std::string(name) + ": expected shape " +
                             View::shape_text(shape.begin(), dimensions) + ", given " +
                             view.shape())
                                .c_str());
    return view.data<T>();
  }

  const float* floats(const char* name, std::initializer_list<Py_ssize_t> shape) {
    return take<const float>(name, 'f', shape);
  }
  float* result(const char* name, std::initializer_list<Py_ssize_t> shape) {
    return take<float>(name, 'f', shape);
  }
  const float* required(const char* name, std::initializer_list<Py_ssize_t> shape) {
    return present(name, floats(name, shape));
  }
  float* required_result(const char* name, std::initializer_list<Py_ssize_t> shape) {
    return present(name, result(name, shape));
  }
  // Whether the numbers of an array take so many bytes each.
  bool holds(const char* name, Py_ssize_t bytes) {
    PyObject* object = find(name);
    return object && View(object, false).item_size() == bytes;
  }
  // The size of one dimension of an array that must be there.
  int extent(const char* name, int dimension) {
    PyObject* object = find(name);
    if (!object || !views_.emplace_back(object, false).is_open())
      throw nb::value_error((std::string(name) + ": expected an array").c_str());
    const View& view = views_.back();
    Py_ssize_t n = dimension < view.dimensions() ? view.size(dimension) : -1;
    if (n < 0 || n > INT32_MAX)
      throw nb::value_error((std::string(name) + ": has too few dimensions or is too large").c_str());
    return static_cast<int>(n);
  }

 private:
  template <class T>
  static T* present(const char* name, T* array) {
    if (!array) throw nb::value_error((std::string(name) + ": is missing").c_str());
    return array;
  }

  PyObject* find(std::string_view name) const {
    for (const Named& each : named_)
      if (each.name == name) return each.object;
    return nullptr;
  }

  struct Named {
    std::string_view name;
    PyObject* object;
  };

  nb::dict given_;
  std::vector<Named> named_;
  std::deque<View> views_;
};

inline int cell_of(const std::string& name) {
  if (name == "rnn_tanh") return loopwise::RNN_TANH;
  if (name == "rnn_relu") return loopwise::RNN_RELU;
  if (name == "lstm") return loopwise::LSTM;
  if (name == "gru") return loopwise::GRU;
  throw nb::value_error(
      ("cell: expected rnn_tanh, rnn_relu, lstm or gru, given " + name).c_str());
}

}  // namespace loopwise
