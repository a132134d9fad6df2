#pragma once

#include <cstdint>

#include "kernels/norm/norm.h"
#include "kernels/simd/functions.h"

namespace vlmforge::kernels {
namespace {

// y = ((f32(x) - mean) * r) * g, then + bias: one row. Without mean and bias for rms_norm.
template <class V, class Code, bool centered, bool gained, bool biased>
VLMFORGE_INLINE void normalize_row(const Norm& step, std::int64_t row, float mean, float r) {
  const std::int16_t* const x = step.x + row * step.columns;
  Code* const output = static_cast<Code*>(step.output) + row * step.columns;
  for_each<V>(0, step.columns, [&]<class W>(std::int64_t i) VLMFORGE_INLINE_LAMBDA {
    using F = typename W::F;
    F y = W::load(x + i);
    if constexpr (centered) y = y - W::splat(mean);
    y = (y * W::splat(r)) * (gained ? W::load(step.gain + i) : W::splat(step.multiplier));
    if constexpr (biased) y = y + W::load(step.bias + i);
    store_code<W>(output + i, y);
  });
}

template <class V, class Code, bool centered, bool biased>
VLMFORGE_INLINE void gained_row(const Norm& step, std::int64_t row, float mean, float r) {
  if (step.gain != nullptr) {
    normalize_row<V, Code, centered, true, biased>(step, row, mean, r);
  } else {
    normalize_row<V, Code, centered, false, biased>(step, row, mean, r);
  }
}

template <class V, bool centered, bool biased>
VLMFORGE_INLINE void write_row(const Norm& step, std::int64_t row, float mean, float r) {
  if (step.element == Element::int8) {
    gained_row<V, std::int8_t, centered, biased>(step, row, mean, r);
  } else {
    gained_row<V, std::int16_t, centered, biased>(step, row, mean, r);
  }
}

template <class V>
void rms_norm(const Norm& step, Range rows) {
  const float columns = static_cast<float>(step.columns);
  for (std::int64_t row = rows.first; row < rows.last; ++row) {
    const std::int64_t s = V::sum_of_squares(step.x + row * step.columns, step.columns);
    const float r = 1.0F / __builtin_sqrtf(static_cast<float>(s) / columns + step.epsilon);
    write_row<V, false, false>(step, row, 0.0F, r);
  }
}

template <class V>
void layer_norm(const Norm& step, Range rows) {
  const std::int64_t columns = step.columns;
  for (std::int64_t row = rows.first; row < rows.last; ++row) {
    const std::int16_t* const x = step.x + row * columns;
    const std::int64_t s = V::sum(x, columns);
    const std::int64_t d = columns * V::sum_of_squares(x, columns) - s * s;
    const float mean = static_cast<float>(s) / static_cast<float>(columns);
    const float v = static_cast<float>(d) / static_cast<float>(columns * columns);
    const float r = 1.0F / __builtin_sqrtf(v + step.epsilon);
    if (step.bias != nullptr) {
      write_row<V, true, true>(step, row, mean, r);
    } else {
      write_row<V, true, false>(step, row, mean, r);
    }
  }
}

}  // namespace
}  // namespace vlmforge::kernels
