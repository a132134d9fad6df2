#pragma once

#include <cstdint>

#include "kernels/gate/gate.h"
#include "kernels/simd/functions.h"

namespace vlmforge::kernels {
namespace {

template <class V, class Code>
void gate_codes(const Gate& step, Range elements) {
  Code* const output = static_cast<Code*>(step.output);
  for_each<V>(elements.first, elements.last, [&]<class W>(std::int64_t i) VLMFORGE_INLINE_LAMBDA {
    using F = typename W::F;
    const F t = W::load(step.x + i) * W::splat(step.scale);
    const F real = (t * sigmoid<W>(t)) * W::splat(step.inverse_scale);
    const F code = W::round(clamp<W>(real, 32767.0F));
    store_code<W>(output + i, (code * W::load(step.up + i)) * W::splat(step.multiplier));
  });
}

template <class V>
void gate(const Gate& step, Range elements) {
  if (step.element == Element::int8) {
    gate_codes<V, std::int8_t>(step, elements);
  } else {
    gate_codes<V, std::int16_t>(step, elements);
  }
}

}  // namespace
}  // namespace vlmforge::kernels
