// Operands of products of real numbers: as they are, or rounded to bfloat16.
#pragma once

#include <bit>
#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "kernels/simd/inline.h"

namespace vlmforge::kernels {
namespace {

// Numbers that are multiplied as they are: an element of a panel is one of them.
template <class Number>
struct Plain {
  using T = Number;
  using Panel = Number;
  struct Environment {};
  static constexpr std::int64_t depth = 1;     // numbers of an element
  static constexpr std::int64_t together = 1;  // a chain has so many, or a multiple: zeros fill it up
  static VLMFORGE_INLINE Panel panel(T x, T) { return x; }
};

// While it lives, subnormal numbers are zero, as they are to instructions for bfloat16.
class Flushed {
 public:
#if defined(__x86_64__)
  Flushed() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040); }
  ~Flushed() { _mm_setcsr(saved_); }
#elif defined(__aarch64__)
  Flushed() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
    __asm__ volatile("msr fpcr, %0" : : "r"(saved_ | std::uint64_t{1} << 24) : "memory");
  }
  ~Flushed() { __asm__ volatile("msr fpcr, %0" : : "r"(saved_) : "memory"); }
#else
  Flushed() = default;
#endif
  Flushed(const Flushed&) = delete;
  Flushed& operator=(const Flushed&) = delete;

 private:
#if defined(__x86_64__)
  unsigned saved_;
#elif defined(__aarch64__)
  std::uint64_t saved_;
#endif
};

// The nearest bfloat16, ties to even; subnormal numbers become zero.
inline float nearest_bfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x), size = bits & 0x7FFFFFFF;
  const std::uint32_t nearest = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000;
  const std::uint32_t kept = size > 0x7F800000 ? (bits | 0x400000) & 0xFFFF0000 : nearest;
  return std::bit_cast<float>(size < 0x800000 ? bits & 0x80000000 : kept);
}

// The vectors of V, of numbers rounded to bfloat16. Their products are exact in float32, so they are
// multiplied as such. Instructions for bfloat16 take them in pairs, and a zero makes a sum of -0 one of 0.
template <class V>
struct Rounded : V {
  using Environment = Flushed;
  static constexpr std::int64_t together = 2;
  static VLMFORGE_INLINE float panel(float x, float) { return nearest_bfloat16(x); }
};

}  // namespace
}  // namespace vlmforge::kernels
