#pragma once

#include <cstdint>

#include "kernels/rope/rope.h"
#include "kernels/simd/functions.h"

namespace vlmforge::kernels {
namespace {

template <class V>
VLMFORGE_INLINE void rotate_head(const std::int16_t* x, const float* cos, const float* sin,
                                 const float* multiplier, std::int64_t half,
                                 std::int8_t* output) {
  for_each<V>(0, half, [&]<class W>(std::int64_t i) VLMFORGE_INLINE_LAMBDA {
    using F = typename W::F;
    const F first = W::load(x + i), second = W::load(x + half + i);
    const F turned_first = first * W::load(cos + i) + (-second) * W::load(sin + i);
    const F turned_second = second * W::load(cos + half + i) + first * W::load(sin + half + i);
    store_code<W>(output + i, turned_first * W::load(multiplier + i));
    store_code<W>(output + half + i, turned_second * W::load(multiplier + half + i));
  });
}

template <class V>
void rope(const Rope& step, Range rows) {
  const std::int64_t width = step.heads * step.head_dim;
  for (std::int64_t row = rows.first; row < rows.last; ++row) {
    const float* const cos = step.rows + row * 2 * step.head_dim;
    for (std::int64_t head = 0; head < step.heads; ++head) {
      const std::int64_t channel = head * step.head_dim, at = row * width + channel;
      rotate_head<V>(step.x + at, cos, cos + step.head_dim, step.multiplier + channel,
                     step.head_dim / 2, step.output + at);
    }
  }
}

}  // namespace
}  // namespace vlmforge::kernels
