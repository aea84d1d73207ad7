// The memory of an array or a tensor, as whoever made it shows it.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <string>

namespace nb = nanobind;

namespace loopwise {

// DLPack's table of functions, by which tensors are read without a call of Python's; laid out as
// `DLPackExchangeAPI` is in dlpack.h.
struct Exchange {
  uint32_t major, minor;
  const Exchange* previous;
  void *allocate, *to_managed, *from_managed;
  int (*read)(void* object, nb::dlpack::dltensor* to);  // which points into the object
  void* stream;
};

// The table of a type of tensors, or null where it has none that is understood here.
inline const Exchange* exchange_of(PyTypeObject* type) {
  static PyObject* const name = PyUnicode_InternFromString("__dlpack_c_exchange_api__");
  PyObject* capsule = PyObject_GetAttr(reinterpret_cast<PyObject*>(type), name);
  void* table = capsule ? PyCapsule_GetPointer(capsule, "dlpack_exchange_api") : nullptr;
  Py_XDECREF(capsule);
  if (!table) PyErr_Clear();
  const Exchange* found = static_cast<const Exchange*>(table);
  while (found && found->major != 1) found = found->previous;
  return found && found->read ? found : nullptr;
}

// Memory that lies row by row; of an array it stays while the view lives, of a tensor while that does.
class View {
 public:
  View(PyObject* object, bool written) {
    if (PyObject_CheckBuffer(object)) open_buffer(object, written);
    else open_tensor(object);
  }
  View(nb::handle object, bool written) : View(object.ptr(), written) {}
  ~View() { PyBuffer_Release(&buffer_); }  // nothing, of a tensor
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  // Whether there is such memory that may be written to, if that was asked for.
  bool is_open() const { return open_; }
  template <class T>
  T* data() const { return static_cast<T*>(memory_); }
  int dimensions() const { return dimensions_; }
  Py_ssize_t size(int i) const { return shape_[i]; }
  Py_ssize_t item_size() const { return item_size_; }
  // Whether numbers are of a type that the module `struct` has a letter for. `l` is an integer of 32
  // or of 64 bits: that depends on the platform.
  bool is(char type) const {
    const char given = type_[0] != 'l' ? type_[0] : item_size_ == 8 ? 'q' : 'i';
    return given == type && !type_[1];
  }
  const char* type() const { return type_; }
  std::string shape() const { return shape_text(shape_, dimensions_); }

  static std::string shape_text(const Py_ssize_t* shape, int dimensions) {
    std::string text = "(";
    for (int i = 0; i < std::min(dimensions, MOST); i++)
      text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + (dimensions > MOST ? ", ...)" : ")");
  }

 private:
  static constexpr int MOST = 4;  // dimensions that are looked at

  void open_buffer(PyObject* object, bool written) {
    const int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (written ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, &buffer_, flags) != 0) return PyErr_Clear();
    type_ = buffer_.format ? buffer_.format : "B";
    show(buffer_.buf, buffer_.itemsize, buffer_.ndim, buffer_.shape);
  }

  void open_tensor(PyObject* object) {
    const int MAIN_MEMORY = 1;
    const Exchange* exchange = exchange_of(Py_TYPE(object));
    nb::dlpack::dltensor t;
    if (!exchange) return;
    if (exchange->read(object, &t) != 0) return PyErr_Clear();
    if (t.device.device_type != MAIN_MEMORY || !t.data) return;  // a fake tensor has no memory
    int64_t stride = 1;
    for (int i = t.ndim - 1; i >= 0; stride *= t.shape[i--])
      if (t.strides && t.shape[i] != 1 && t.strides[i] != stride) return;
    type_ = letter(t.dtype);
    show(static_cast<char*>(t.data) + t.byte_offset, t.dtype.bits / 8, t.ndim, t.shape);
  }

  static const char* letter(nb::dlpack::dtype type) {
    switch (type.lanes == 1 ? type.code * 256 + type.bits : 0) {
      case 0x020: return "i";
      case 0x040: return "q";
      case 0x108: return "B";
      case 0x110: return "H";
      case 0x220: return "f";
      case 0x240: return "d";
      case 0x608: return "?";
      default: return "another";
    }
  }

  template <class Int>
  void show(void* memory, Py_ssize_t item_size, int dimensions, const Int* shape) {
    open_ = true;
    memory_ = memory;
    item_size_ = item_size;
    dimensions_ = dimensions;
    for (int i = 0; i < std::min(dimensions, MOST); i++)
      shape_[i] = static_cast<Py_ssize_t>(shape[i]);
  }

  bool open_ = false;
  void* memory_ = nullptr;
  const char* type_ = "";
  Py_ssize_t item_size_ = 0, shape_[MOST] = {};
  int dimensions_ = 0;
  Py_buffer buffer_ = {};
};

}  // namespace loopwise
