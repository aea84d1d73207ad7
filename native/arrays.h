// NumPy arrays from Python, checked before anything is touched.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstring>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <vector>

#include "recurrence.h"

namespace nb = nanobind;

namespace loopwise {

inline void require(bool holds, const char* message) {
  if (!holds) throw nb::value_error(message);
}

inline std::string shape_text(const std::vector<Py_ssize_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); i++)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

// Whether numbers are of a type that the module `struct` has a letter for. `l` is an integer of 32
// or of 64 bits: that depends on the platform.
inline bool is_type(const Py_buffer& view, char type) {
  const char* given = view.format ? view.format : "B";
  if (!std::strcmp(given, "l")) given = view.itemsize == 8 ? "q" : "i";
  return given[0] == type && !given[1];
}

// Keyword arguments that are arrays. Their memory stays while this object lives.
class Arrays {
 public:
  explicit Arrays(const nb::dict& given) : given_(given) { views_.reserve(64); }
  ~Arrays() {
    for (Py_buffer& view : views_) PyBuffer_Release(&view);
  }
  Arrays(const Arrays&) = delete;
  Arrays& operator=(const Arrays&) = delete;

  // The memory of an argument, or null where it is absent or None. -1 in a shape is any size.
  template <class T>
  T* take(const char* name, char type, std::initializer_list<Py_ssize_t> shape) {
    PyObject* object = PyDict_GetItemString(given_.ptr(), name);  // borrowed
    if (!object || object == Py_None) return nullptr;
    Py_buffer view;
    constexpr bool written = !std::is_const_v<T>;
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (written ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, &view, flags) != 0) {
      PyErr_Clear();
      throw nb::type_error((std::string(name) + ": expected a C-contiguous array" +
                            (written ? " that may be written to" : ""))
                               .c_str());
    }
    views_.push_back(view);
    std::vector<Py_ssize_t> found(view.shape, view.shape + view.ndim);
    if (!is_type(view, type))
      throw nb::type_error((std::string(name) + ": expected type '" + type + "', given '" +
                            (view.format ? view.format : "B") + "'")
                               .c_str());
    bool fits = found.size() == shape.size();
    size_t i = 0;
    for (Py_ssize_t n : shape) {
      if (fits && n >= 0 && found[i] != n) fits = false;
      i++;
    }
    if (!fits)
      throw nb::value_error((std::string(name) + ": expected shape " +
                             shape_text(std::vector<Py_ssize_t>(shape)) + ", given " +
                             shape_text(found))
                                .c_str());
    return static_cast<T*>(view.buf);
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
    PyObject* object = PyDict_GetItemString(given_.ptr(), name);
    Py_buffer view;
    if (!object || PyObject_GetBuffer(object, &view, PyBUF_ND) != 0) {
      PyErr_Clear();
      return false;
    }
    Py_ssize_t size = view.itemsize;
    PyBuffer_Release(&view);
    return size == bytes;
  }
  // The size of one dimension of an array that must be there.
  int extent(const char* name, int dimension) {
    PyObject* object = PyDict_GetItemString(given_.ptr(), name);
    Py_buffer view;
    if (!object || PyObject_GetBuffer(object, &view, PyBUF_ND) != 0) {
      PyErr_Clear();
      throw nb::value_error((std::string(name) + ": expected an array").c_str());
    }
    Py_ssize_t n = dimension < view.ndim ? view.shape[dimension] : -1;
    PyBuffer_Release(&view);
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

  nb::dict given_;
  std::vector<Py_buffer> views_;
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
