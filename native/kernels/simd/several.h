// N vectors of V side by side, as one vector. A chain of dependent operations, such as exp, keeps a
// processor waiting; N of them in step do not.
#pragma once

#include <cstdint>

#include "kernels/simd/inline.h"

namespace vlmforge::kernels {
namespace {

template <class V, int N>
struct Several {
  static constexpr std::int64_t width = N * V::width;

  struct F {
    typename V::F part[N];

    friend VLMFORGE_INLINE F operator-(F x) {
      return of([&](int k) VLMFORGE_INLINE_LAMBDA { return -x.part[k]; });
    }
    friend VLMFORGE_INLINE F operator+(F x, F y) {
      return of([&](int k) VLMFORGE_INLINE_LAMBDA { return x.part[k] + y.part[k]; });
    }
    friend VLMFORGE_INLINE F operator-(F x, F y) {
      return of([&](int k) VLMFORGE_INLINE_LAMBDA { return x.part[k] - y.part[k]; });
    }
    friend VLMFORGE_INLINE F operator*(F x, F y) {
      return of([&](int k) VLMFORGE_INLINE_LAMBDA { return x.part[k] * y.part[k]; });
    }
    friend VLMFORGE_INLINE F operator/(F x, F y) {
      return of([&](int k) VLMFORGE_INLINE_LAMBDA { return x.part[k] / y.part[k]; });
    }
  };

  struct I {
    typename V::I part[N];
  };

  // Part k is make(k).
  template <class Vector = F, class Make>
  static VLMFORGE_INLINE Vector of(const Make& make) {
    Vector result;
#pragma GCC unroll 16
    for (int k = 0; k < N; ++k) result.part[k] = make(k);
    return result;
  }

  static VLMFORGE_INLINE F splat(float x) {
    return of([=](int) VLMFORGE_INLINE_LAMBDA { return V::splat(x); });
  }
  template <class Number>
  static VLMFORGE_INLINE F load(const Number* p) {
    return of([=](int k) VLMFORGE_INLINE_LAMBDA { return V::load(p + k * V::width); });
  }
  static VLMFORGE_INLINE F load_difference(const std::int32_t* p, std::int32_t subtrahend) {
    return of([=](int k) VLMFORGE_INLINE_LAMBDA {
      return V::load_difference(p + k * V::width, subtrahend);
    });
  }
  static VLMFORGE_INLINE I rounded(F x) {
    return of<I>([&](int k) VLMFORGE_INLINE_LAMBDA { return V::rounded(x.part[k]); });
  }
  static VLMFORGE_INLINE F round(F x) {
    return of([&](int k) VLMFORGE_INLINE_LAMBDA { return V::round(x.part[k]); });
  }
  static VLMFORGE_INLINE void store(float* p, F x) {
#pragma GCC unroll 16
    for (int k = 0; k < N; ++k) V::store(p + k * V::width, x.part[k]);
  }
  template <class Code>
  static VLMFORGE_INLINE void store_rounded(Code* p, F x) {
#pragma GCC unroll 16
    for (int k = 0; k < N; ++k) V::store_rounded(p + k * V::width, x.part[k]);
  }
  static VLMFORGE_INLINE F max(F x, F y) {
    return of([&](int k) VLMFORGE_INLINE_LAMBDA { return V::max(x.part[k], y.part[k]); });
  }
  static VLMFORGE_INLINE F min(F x, F y) {
    return of([&](int k) VLMFORGE_INLINE_LAMBDA { return V::min(x.part[k], y.part[k]); });
  }
  static VLMFORGE_INLINE F abs(F x) {
    return of([&](int k) VLMFORGE_INLINE_LAMBDA { return V::abs(x.part[k]); });
  }
  static VLMFORGE_INLINE F copy_sign(F magnitude, F sign) {
    return of([&](int k)
                  VLMFORGE_INLINE_LAMBDA { return V::copy_sign(magnitude.part[k], sign.part[k]); });
  }
  static VLMFORGE_INLINE F where_less(F a, F b, F x, F y) {
    return of([&](int k) VLMFORGE_INLINE_LAMBDA {
      return V::where_less(a.part[k], b.part[k], x.part[k], y.part[k]);
    });
  }
  static VLMFORGE_INLINE F scaled(F x, F n) {
    return of([&](int k) VLMFORGE_INLINE_LAMBDA { return V::scaled(x.part[k], n.part[k]); });
  }
};

}  // namespace
}  // namespace vlmforge::kernels
