#pragma once

#include <cstdint>

#include "kernels/add/add.h"
#include "kernels/simd/functions.h"

namespace vlmforge::kernels {
namespace {

template <class V, class Code>
void add_codes(const Add& step, Range elements) {
  Code* const output = static_cast<Code*>(step.output);
  for_each<V>(elements.first, elements.last, [&]<class W>(std::int64_t i) VLMFORGE_INLINE_LAMBDA {
    const typename W::F left = W::load(step.a + i) * W::splat(step.multiplier_a);
    const typename W::F right = W::load(step.b + i) * W::splat(step.multiplier_b);
    store_code<W>(output + i, left + right);
  });
}

template <class V>
void add(const Add& step, Range elements) {
  if (step.element == Element::int8) {
    add_codes<V, std::int8_t>(step, elements);
  } else {
    add_codes<V, std::int16_t>(step, elements);
  }
}

}  // namespace
}  // namespace vlmforge::kernels
