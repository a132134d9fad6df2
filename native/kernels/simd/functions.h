// The functions of docs/numbers.md over the vectors V of an instruction set: one rounding an
// operation, in the order written there.
#pragma once

#include <cstdint>

#include "kernels/simd/scalar.h"
#include "kernels/simd/several.h"

namespace vlmforge::kernels {
namespace {

template <class V>
VLMFORGE_INLINE typename V::F clamp(typename V::F x, float limit) {
  return V::min(V::max(x, V::splat(-limit)), V::splat(limit));
}

// code(x): clamped and rounded. Limits are integers, so clamping first gives the same.
template <class V>
VLMFORGE_INLINE void store_code(std::int8_t* p, typename V::F x) {
  V::store_rounded(p, clamp<V>(x, 127.0F));
}
template <class V>
VLMFORGE_INLINE void store_code(std::int16_t* p, typename V::F x) {
  V::store_rounded(p, clamp<V>(x, 32767.0F));
}

template <class V, int N>
VLMFORGE_INLINE typename V::F horner(const float (&coefficients)[N], typename V::F x) {
  typename V::F total = V::splat(coefficients[N - 1]);
  for (int i = N - 2; i >= 0; --i) total = total * x + V::splat(coefficients[i]);
  return total;
}

inline constexpr float kExp[] = {1.0F,          1.0F,           0.49999994F,   0.166665196F,
                                 0.0416683927F, 0.00836878084F, 0.00138144672F};
inline constexpr float kErf[] = {1.1283803F,       0.636597753F,    0.102919616F,
                                 -0.0195839591F,   0.000536932086F, 0.00103240239F,
                                 -0.00030880241F, 3.14401877e-05F};

template <class V>
VLMFORGE_INLINE typename V::F exp(typename V::F x) {  // x <= 0
  using F = typename V::F;
  const F lowest = V::splat(-87.0F);
  const F t = V::max(x, lowest);
  const F n = V::round(t * V::splat(1.44269502F));
  const F r = (t - n * V::splat(0.693359375F)) - n * V::splat(-0.000212194442F);
  return V::where_less(x, lowest, V::splat(0.0F), V::scaled(horner<V>(kExp, r), n));
}

template <class V>
VLMFORGE_INLINE typename V::F sigmoid(typename V::F x) {
  using F = typename V::F;
  const F one = V::splat(1.0F);
  const F e = exp<V>(-V::abs(x));
  return V::where_less(x, V::splat(0.0F), e, one) / (one + e);
}

template <class V>
VLMFORGE_INLINE typename V::F erf(typename V::F x) {
  using F = typename V::F;
  const F t = V::min(V::abs(x), V::splat(4.0F));
  return V::copy_sign(V::splat(1.0F) - exp<V>(-(t * horner<V>(kErf, t))), x);
}

// Calls body.template operator()<W>(i) for every element i of [first, last): as several vectors of
// V while they fit, as one, as a half where V has halves, then one by one.
template <class V, class Body>
VLMFORGE_INLINE void for_each(std::int64_t first, std::int64_t last, const Body& body) {
  std::int64_t i = first;
  if constexpr (V::side_by_side > 1) {
    using Wide = Several<V, V::side_by_side>;
    for (; i + Wide::width <= last; i += Wide::width) body.template operator()<Wide>(i);
  }
  for (; i + V::width <= last; i += V::width) body.template operator()<V>(i);
  if constexpr (requires { typename V::Half; }) {
    using Half = typename V::Half;
    for (; i + Half::width <= last; i += Half::width) body.template operator()<Half>(i);
  }
  for (; i < last; ++i) body.template operator()<Scalar>(i);
}

}  // namespace
}  // namespace vlmforge::kernels
