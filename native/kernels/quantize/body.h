#pragma once

#include <cstdint>

#include "kernels/quantize/quantize.h"
#include "kernels/simd/functions.h"

namespace vlmforge::kernels {
namespace {

template <class V, class Code>
void quantize_codes(const Quantize& step, Range elements) {
  Code* const output = static_cast<Code*>(step.output);
  for_each<V>(elements.first, elements.last, [&]<class W>(std::int64_t i) VLMFORGE_INLINE_LAMBDA {
    store_code<W>(output + i, W::load(step.x + i) * W::splat(step.inverse_scale));
  });
}

template <class V>
void quantize(const Quantize& step, Range elements) {
  if (step.element == Element::int8) {
    quantize_codes<V, std::int8_t>(step, elements);
  } else {
    quantize_codes<V, std::int16_t>(step, elements);
  }
}

}  // namespace
}  // namespace vlmforge::kernels
