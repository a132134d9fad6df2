#pragma once

#include <cstdint>

#include "kernels/requantize/requantize.h"
#include "kernels/simd/functions.h"

namespace vlmforge::kernels {
namespace {

template <class V, class Code>
void requantize_codes(const Requantize& step, Range elements) {
  Code* const output = static_cast<Code*>(step.output);
  for_each<V>(elements.first, elements.last, [&]<class W>(std::int64_t i) VLMFORGE_INLINE_LAMBDA {
    store_code<W>(output + i, W::load(step.x + i) * W::splat(step.multiplier));
  });
}

template <class V>
void requantize(const Requantize& step, Range elements) {
  if (step.element == Element::int8) {
    requantize_codes<V, std::int8_t>(step, elements);
  } else {
    requantize_codes<V, std::int16_t>(step, elements);
  }
}

}  // namespace
}  // namespace vlmforge::kernels
