#pragma once

#include <cstdint>

#include "kernels/norm/norm.h"
#include "kernels/simd/functions.h"

namespace vlmforge::kernels {
namespace {

// The columns of a row that are normalized together.
struct Part {
  std::int64_t row, first, last;
};

// y = ((f32(x) - mean) * r) * g, then + bias. Without mean and bias for rms_norm.
template <class V, class Code, bool centered, bool gained, bool biased>
VLMFORGE_INLINE void normalize_part(const Norm& step, Part part, float mean, float r) {
  const std::int16_t* const x = step.x + part.row * step.columns;
  Code* const output = static_cast<Code*>(step.output) + part.row * step.columns;
  for_each<V>(part.first, part.last, [&]<class W>(std::int64_t i) VLMFORGE_INLINE_LAMBDA {
    using F = typename W::F;
    F y = W::load(x + i);
    if constexpr (centered) y = y - W::splat(mean);
    y = (y * W::splat(r)) * (gained ? W::load(step.gain + i) : W::splat(step.multiplier));
    if constexpr (biased) y = y + W::load(step.bias + i);
    store_code<W>(output + i, y);
  });
}

template <class V, class Code, bool centered, bool biased>
VLMFORGE_INLINE void gained_part(const Norm& step, Part part, float mean, float r) {
  if (step.gain != nullptr) {
    normalize_part<V, Code, centered, true, biased>(step, part, mean, r);
  } else {
    normalize_part<V, Code, centered, false, biased>(step, part, mean, r);
  }
}

template <class V, bool centered, bool biased>
VLMFORGE_INLINE void write_part(const Norm& step, Part part, float mean, float r) {
  if (step.element == Element::int8) {
    gained_part<V, std::int8_t, centered, biased>(step, part, mean, r);
  } else {
    gained_part<V, std::int16_t, centered, biased>(step, part, mean, r);
  }
}

template <class V>
void rms_norm(const Norm& step, Range rows) {
  const float group = static_cast<float>(step.group);
  for (std::int64_t row = rows.first; row < rows.last; ++row) {
    for (std::int64_t first = 0; first < step.columns; first += step.group) {
      const std::int64_t s = V::sum_of_squares(step.x + row * step.columns + first, step.group);
      const float r = 1.0F / __builtin_sqrtf(static_cast<float>(s) / group + step.epsilon);
      write_part<V, false, false>(step, {row, first, first + step.group}, 0.0F, r);
    }
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
    const Part part{row, 0, columns};
    if (step.bias != nullptr) {
      write_part<V, true, true>(step, part, mean, r);
    } else {
      write_part<V, true, false>(step, part, mean, r);
    }
  }
}

}  // namespace
}  // namespace vlmforge::kernels
