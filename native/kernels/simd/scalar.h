// Vectors of one element, in portable C++: what the other instruction sets must equal.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/simd/inline.h"

namespace vlmforge::kernels {
namespace {

struct Scalar {
  static constexpr std::int64_t width = 1;
  static constexpr int side_by_side = 1;  // see several.h
  using F = float;
  using I = std::int64_t;  // integers, as many; sums of up to 65536 int16 codes fit

  static VLMFORGE_INLINE F splat(float x) { return x; }
  static VLMFORGE_INLINE F load(const float* p) { return *p; }
  static VLMFORGE_INLINE F load(const std::int16_t* p) { return static_cast<float>(*p); }
  static VLMFORGE_INLINE void store(float* p, F x) { *p = x; }
  // Rounds to nearest, ties to even; |x| < 2^22.
  static VLMFORGE_INLINE F round(F x) {
    constexpr float shift = 12582912.0F;  // 1.5 * 2^23: its neighbours differ by 1
    return (x + shift) - shift;
  }
  static VLMFORGE_INLINE void store_rounded(std::int8_t* p, F x) {
    *p = static_cast<std::int8_t>(round(x));
  }
  static VLMFORGE_INLINE void store_rounded(std::int16_t* p, F x) {
    *p = static_cast<std::int16_t>(round(x));
  }
  // f32(*p - subtrahend).
  static VLMFORGE_INLINE F load_difference(const std::int32_t* p, std::int32_t subtrahend) {
    return static_cast<float>(*p - subtrahend);
  }
  static VLMFORGE_INLINE I rounded(F x) { return static_cast<I>(round(x)); }
  static VLMFORGE_INLINE I zeros() { return 0; }
  // The first n elements of x, and zeros.
  static VLMFORGE_INLINE I first(I x, std::int64_t n) { return n > 0 ? x : 0; }
  // Zeros, and the elements of x behind the first n.
  static VLMFORGE_INLINE I behind(I x, std::int64_t n) { return n > 0 ? 0 : x; }
  static VLMFORGE_INLINE I plus(I x, I y) { return x + y; }
  static VLMFORGE_INLINE std::int64_t total(I x) { return x; }
  // y if x is not a number.
  static VLMFORGE_INLINE F max(F x, F y) { return x > y ? x : y; }
  static VLMFORGE_INLINE F min(F x, F y) { return x < y ? x : y; }
  static VLMFORGE_INLINE F abs(F x) {
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0x7FFFFFFFU);
  }
  static VLMFORGE_INLINE F copy_sign(F magnitude, F sign) {
    const std::uint32_t bit = std::bit_cast<std::uint32_t>(sign) & 0x80000000U;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | bit);
  }
  // where_less(a, b, x, y): x where a < b, elsewhere y.
  static VLMFORGE_INLINE F where_less(F a, F b, F x, F y) { return a < b ? x : y; }
  // x * 2^n for an integral n, where x and the result are normal numbers.
  static VLMFORGE_INLINE F scaled(F x, F n) {
    const std::int32_t exponent = static_cast<std::int32_t>(n) << 23;
    return std::bit_cast<float>(std::bit_cast<std::int32_t>(x) + exponent);
  }

  static VLMFORGE_INLINE std::int64_t sum(const std::int16_t* x, std::int64_t n) {
    std::int64_t total = 0;
    for (std::int64_t i = 0; i < n; ++i) total += x[i];
    return total;
  }
  static VLMFORGE_INLINE std::int64_t sum_of_squares(const std::int16_t* x, std::int64_t n) {
    std::int64_t total = 0;
    for (std::int64_t i = 0; i < n; ++i) total += std::int32_t{x[i]} * x[i];
    return total;
  }
};

}  // namespace
}  // namespace vlmforge::kernels
