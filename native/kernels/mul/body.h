#pragma once

#include <cstdint>

#include "kernels/mul/mul.h"
#include "kernels/simd/functions.h"

namespace vlmforge::kernels {
namespace {

template <class V, class Code>
void mul_codes(const Mul& step, Range elements) {
  Code* const output = static_cast<Code*>(step.output);
  for_each<V>(elements.first, elements.last, [&]<class W>(std::int64_t i) VLMFORGE_INLINE_LAMBDA {
    const typename W::F product = W::load(step.a + i) * W::load(step.b + i);
    store_code<W>(output + i, product * W::splat(step.multiplier));
  });
}

template <class V>
void mul(const Mul& step, Range elements) {
  if (step.element == Element::int8) {
    mul_codes<V, std::int8_t>(step, elements);
  } else {
    mul_codes<V, std::int16_t>(step, elements);
  }
}

}  // namespace
}  // namespace vlmforge::kernels
