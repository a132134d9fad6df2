#include <cmath>

#include "kernels/real/kernels.h"
#include "kernels/simd/scalar.h"

namespace vlmforge::kernels {
namespace {

// std::fma rounds once, with or without an instruction for it.
template <class Number>
struct One : Plain<Number> {
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

}  // namespace

constinit const RealKernels real_scalar = all_kernels<One<float>, One<double>, Scalar>("scalar", always);

}  // namespace vlmforge::kernels
