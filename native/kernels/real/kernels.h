// All kernels of real numbers, of vectors of floats and doubles and the functions of an instruction set.
#pragma once

#include "kernels/real/rounding.h"
#include "kernels/real/rows.h"

namespace vlmforge::kernels {
namespace {

template <class Floats, class Doubles, class Simd>
constexpr RealKernels all_kernels(std::string_view name, bool (*supported)()) {
  return {name,
          supported,
          product<Floats>,
          product<Doubles>,
          product<Rounded<Floats>>,
          sum_rows<float>,
          sum_rows<double>,
          real_rms_norm,
          real_layer_norm,
          real_attention<Floats, Simd>,
          real_attention<Rounded<Floats>, Simd>,
          real_hadamard<Simd>,
          apply_function<Simd>,
          round_columns,
          descend_columns};
}

}  // namespace
}  // namespace vlmforge::kernels
