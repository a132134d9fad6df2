// What the bindings of the compiler's arithmetic ask of arrays.
#pragma once

#include <nanobind/ndarray.h>

#include <cstdint>
#include <stdexcept>

template <class T, std::size_t dimensions>
using WholeArray =
    nanobind::ndarray<T, nanobind::ndim<dimensions>, nanobind::c_contig, nanobind::device::cpu>;

inline void require(bool fits) {
  if (!fits) throw std::invalid_argument("the arrays do not fit each other");
}

template <class Array>
std::int64_t size(const Array& array, std::size_t dimension) {
  return static_cast<std::int64_t>(array.shape(dimension));
}
