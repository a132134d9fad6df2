// Rounding of weights, column after column; outputs do not depend on each other.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/real/real.h"
#include "kernels/simd/inline.h"

namespace vlmforge::kernels {
namespace {

constexpr std::int64_t kOutputs = 256;  // visited together, so that a block stays in the cache

VLMFORGE_INLINE float nearest_code(float x, float lowest, float largest) {
  return std::min(std::max(__builtin_rintf(x), lowest), largest);
}

// y -= a x, the product rounded first.
VLMFORGE_INLINE void carry(float* __restrict y, float a, const float* __restrict x,
                           std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = y[i] - a * x[i];
}

inline void round_columns(const RealRounding& step, Range outputs) {
  for (std::int64_t first = outputs.first; first < outputs.last; first += kOutputs) {
    const std::int64_t count = std::min(kOutputs, outputs.last - first);
    const float* const scale = step.scale + first;
    for (std::int64_t column = 0; column < step.columns; ++column) {
      const std::int64_t start = column * step.stride + first;
      const float* const factor = step.factor + column * step.factor_row;
      float *const w = step.weight + start, *const code = step.codes + start,
            *const error = step.errors + start;
      for (std::int64_t i = 0; i < count; ++i) {
        code[i] = nearest_code(w[i] / scale[i], step.lowest, step.largest);
        error[i] = (w[i] - code[i] * scale[i]) / factor[column];
      }
      for (std::int64_t behind = column + 1; behind < step.columns; ++behind) {
        carry(step.weight + behind * step.stride + first, factor[behind], error, count);
      }
    }
  }
}

inline void descend_columns(const RealDescent& step, Range outputs) {
  float moved[kOutputs];
  for (std::int64_t first = outputs.first; first < outputs.last; first += kOutputs) {
    const std::int64_t count = std::min(kOutputs, outputs.last - first);
    for (std::int64_t column = 0; column < step.columns; ++column) {
      const std::int64_t start = column * step.stride + first;
      const float* const hessian = step.hessian + column * step.hessian_row;
      const float* const scale = step.scale + column * step.scale_row + first;
      const float* const gradient = step.gradient + start;
      float *const code = step.codes + start, *const error = step.errors + start;
      for (std::int64_t i = 0; i < count; ++i) {
        const float best = gradient[i] / (hessian[column] * scale[i]) + code[i];
        const float found = nearest_code(best, step.lowest, step.largest);
        moved[i] = (found - code[i]) * scale[i];
        code[i] = found;
        error[i] = error[i] - moved[i];
      }
      for (std::int64_t behind = column; behind < step.columns; ++behind) {
        carry(step.gradient + behind * step.stride + first, hessian[behind], moved, count);
      }
    }
  }
}

}  // namespace
}  // namespace vlmforge::kernels
