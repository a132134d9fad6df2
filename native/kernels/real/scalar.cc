#include <cmath>

#include "kernels/real/rounding.h"
#include "kernels/real/rows.h"
#include "kernels/simd/scalar.h"

namespace vlmforge::kernels {
namespace {

// std::fma rounds once, with or without an instruction for it.
template <class Number>
struct One {
  using T = Number;
  using F = Number;
  static constexpr std::int64_t width = 1, rows = 4;
  static VLMFORGE_INLINE F zero() { return 0; }
  static VLMFORGE_INLINE F load(const T* p) { return *p; }
  static VLMFORGE_INLINE void store(T* p, F x) { *p = x; }
  static VLMFORGE_INLINE F splat(const T* p) { return *p; }
  static VLMFORGE_INLINE F fma(F a, F b, F c) { return std::fma(a, b, c); }
};

bool always() { return true; }

constexpr RealKernels kernels_of_scalar() {
  return {"scalar",
          always,
          product<One<float>>,
          product<One<double>>,
          sum_rows<float>,
          sum_rows<double>,
          real_rms_norm,
          real_layer_norm,
          real_attention<One<float>, Scalar>,
          apply_function<Scalar>,
          round_columns,
          descend_columns};
}

}  // namespace

const RealKernels real_scalar = kernels_of_scalar();

}  // namespace vlmforge::kernels
