#pragma once

#include <cstdint>

#include "kernels/rope/rope.h"
#include "kernels/simd/functions.h"

namespace vlmforge::kernels {
namespace {

template <class V>
VLMFORGE_INLINE void rotate_head(const std::int16_t* x, const float* cos, const float* sin,
                                 const float* multiplier, const float* offset, std::int64_t half,
                                 std::int8_t* output) {
  for_each<V>(0, half, [&]<class W>(std::int64_t i) VLMFORGE_INLINE_LAMBDA {
    using F = typename W::F;
    const F first = W::load(x + i), second = W::load(x + half + i);
    const F turned_first = first * W::load(cos + i) + (-second) * W::load(sin + i);
    const F turned_second = second * W::load(cos + half + i) + first * W::load(sin + half + i);
    F scaled_first = turned_first * W::load(multiplier + i);
    F scaled_second = turned_second * W::load(multiplier + half + i);
    if (offset != nullptr) {
      scaled_first = scaled_first + W::load(offset + i);
      scaled_second = scaled_second + W::load(offset + half + i);
    }
    store_code<W>(output + i, scaled_first);
    store_code<W>(output + half + i, scaled_second);
  });
}

template <class V>
void rope(const Rope& step, Range rows) {
  const std::int64_t width = step.heads * step.head_dim;
  for (std::int64_t row = rows.first; row < rows.last; ++row) {
    const float* const cos = step.rows + row * 2 * step.head_dim;
    for (std::int64_t head = 0; head < step.heads; ++head) {
      const std::int64_t channel = head * step.head_dim, at = row * width + channel;
      const float* const offset = step.offset == nullptr ? nullptr : step.offset + channel;
      rotate_head<V>(step.x + at, cos, cos + step.head_dim, step.multiplier + channel, offset,
                     step.head_dim / 2, step.output + at);
    }
  }
}

}  // namespace
}  // namespace vlmforge::kernels
