#pragma once

#include <cstdint>

#include "kernels/activation/activation.h"
#include "kernels/simd/functions.h"

namespace vlmforge::kernels {
namespace {

struct SiluFunction {
  template <class V>
  static VLMFORGE_INLINE typename V::F of(typename V::F t) {
    return t * sigmoid<V>(t);
  }
};

struct GeluFunction {
  template <class V>
  static VLMFORGE_INLINE typename V::F of(typename V::F t) {
    const typename V::F half = t * V::splat(0.5F);
    return half * (V::splat(1.0F) + erf<V>(t * V::splat(0.70710678F)));
  }
};

struct QuickGeluFunction {
  template <class V>
  static VLMFORGE_INLINE typename V::F of(typename V::F t) {
    return t * sigmoid<V>(t * V::splat(1.702F));
  }
};

struct GeluTanhFunction {
  template <class V>
  static VLMFORGE_INLINE typename V::F of(typename V::F t) {
    const typename V::F square = t * t;
    const typename V::F slope = square * V::splat(0.0713548163F) + V::splat(1.59576912F);
    return t * sigmoid<V>(t * slope);
  }
};

template <class V, class Function, class Code>
void activate_codes(const Activation& step, Range elements) {
  Code* const output = static_cast<Code*>(step.output);
  for_each<V>(elements.first, elements.last, [&]<class W>(std::int64_t i) VLMFORGE_INLINE_LAMBDA {
    const typename W::F t = W::load(step.x + i) * W::splat(step.scale);
    const typename W::F y = Function::template of<W>(t) * W::splat(step.inverse_scale);
    store_code<W>(output + i, y + W::splat(step.zero_point));
  });
}

template <class V, class Function>
void activate(const Activation& step, Range elements) {
  if (step.element == Element::int8) {
    activate_codes<V, Function, std::int8_t>(step, elements);
  } else {
    activate_codes<V, Function, std::int16_t>(step, elements);
  }
}

template <class V>
void silu(const Activation& step, Range elements) {
  activate<V, SiluFunction>(step, elements);
}

template <class V>
void gelu(const Activation& step, Range elements) {
  activate<V, GeluFunction>(step, elements);
}

template <class V>
void quick_gelu(const Activation& step, Range elements) {
  activate<V, QuickGeluFunction>(step, elements);
}

template <class V>
void gelu_tanh(const Activation& step, Range elements) {
  activate<V, GeluTanhFunction>(step, elements);
}

}  // namespace
}  // namespace vlmforge::kernels
