#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "monge/ot/core/device.h"

namespace monge {

using Index = std::int64_t;

// Borrowed contiguous vector. Trivially copyable, so it is passed by value, also into kernels.
template <class T>
struct VectorView {
  T* data = nullptr;
  Index size = 0;
  Device device;

  VectorView() = default;
  VectorView(T* data_, Index size_, Device device_ = {}) : data(data_), size(size_), device(device_) {}
  VectorView(std::span<T> s) : data(s.data()), size(static_cast<Index>(s.size())) {}
  VectorView(std::vector<std::remove_const_t<T>>& v) : data(v.data()), size(static_cast<Index>(v.size())) {}
  VectorView(const std::vector<std::remove_const_t<T>>& v) requires std::is_const_v<T>
      : data(v.data()), size(static_cast<Index>(v.size())) {}
  operator VectorView<const T>() const requires(!std::is_const_v<T>) { return {data, size, device}; }

  bool empty() const { return size == 0; }
  T& operator[](Index i) const { return data[i]; }  // on `device` only
  T* begin() const { return data; }
  T* end() const { return data + size; }
};

// Borrowed row-major matrix; `stride` elements lie between rows.
template <class T>
struct MatrixView {
  T* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index stride = 0;
  Device device;

  MatrixView() = default;
  MatrixView(T* data_, Index rows_, Index cols_) : data(data_), rows(rows_), cols(cols_), stride(cols_) {}
  MatrixView(T* data_, Index rows_, Index cols_, Index stride_, Device device_ = {})
      : data(data_), rows(rows_), cols(cols_), stride(stride_), device(device_) {}
  operator MatrixView<const T>() const requires(!std::is_const_v<T>) { return {data, rows, cols, stride, device}; }

  bool empty() const { return rows == 0 || cols == 0; }
  T* row(Index i) const { return data + i * stride; }
  T& operator()(Index i, Index j) const { return data[i * stride + j]; }  // on `device` only
  MatrixView rows_from(Index first, Index count) const { return {row(first), count, cols, stride, device}; }
};

// Raw memory of a device; throws Error(out_of_memory), or backend_unavailable for a device that is not there.
// CPU memory is 64-byte aligned.
void* allocate(Device device, std::size_t bytes);
void deallocate(Device device, void* memory) noexcept;

// Copies `rows` rows of `width` bytes between any two devices, and waits until that is done. Throws like allocate.
struct ByteRows {
  Device device;
  void* data;
  std::size_t pitch;  // bytes from row to row
};
void copy_rows(const ByteRows& from, const ByteRows& to, std::size_t width, std::size_t rows);

// Copies a matrix or vector into another of its shape, on any device.
template <class T>
void copy(MatrixView<T> from, MatrixView<std::remove_const_t<T>> to) {
  using V = std::remove_const_t<T>;
  copy_rows({from.device, const_cast<V*>(from.data), sizeof(T) * static_cast<std::size_t>(from.stride)},
            {to.device, to.data, sizeof(T) * static_cast<std::size_t>(to.stride)},
            sizeof(T) * static_cast<std::size_t>(from.cols), static_cast<std::size_t>(from.rows));
}
template <class T>
void copy(VectorView<T> from, VectorView<std::remove_const_t<T>> to) {
  copy(MatrixView<T>{from.data, 1, from.size, from.size, from.device},
       MatrixView<std::remove_const_t<T>>{to.data, 1, to.size, to.size, to.device});
}

// Owns a vector on one device, uninitialised; moves, never copies silently.
template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(Index size, Device device = {})
      : data_(static_cast<T*>(allocate(device, sizeof(T) * static_cast<std::size_t>(size)))),
        size_(size),
        device_(device) {}
  Buffer(Buffer&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)), device_(o.device_) {}
  Buffer& operator=(Buffer&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(size_, o.size_);
    std::swap(device_, o.device_);
    return *this;
  }
  ~Buffer() { deallocate(device_, data_); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  Index size() const { return size_; }
  Device device() const { return device_; }
  VectorView<T> view() { return {data_, size_, device_}; }
  VectorView<const T> view() const { return {data_, size_, device_}; }
  T& operator[](Index i) { return data_[i]; }
  const T& operator[](Index i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  Index size_ = 0;
  Device device_;
};

// Owns a dense row-major matrix on one device, uninitialised.
template <class T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(Index rows, Index cols, Device device = {}) : storage_(rows * cols, device), rows_(rows), cols_(cols) {}

  T* data() { return storage_.data(); }
  const T* data() const { return storage_.data(); }
  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  MatrixView<T> view() { return {storage_.data(), rows_, cols_, cols_, storage_.device()}; }
  MatrixView<const T> view() const { return {storage_.data(), rows_, cols_, cols_, storage_.device()}; }
  T& operator()(Index i, Index j) { return storage_[i * cols_ + j]; }
  const T& operator()(Index i, Index j) const { return storage_[i * cols_ + j]; }

 private:
  Buffer<T> storage_;
  Index rows_ = 0;
  Index cols_ = 0;
};

}  // namespace monge
