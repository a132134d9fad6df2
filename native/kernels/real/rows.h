// Sums over rows of real numbers, and what needs them. A row is summed in kLanes lanes: lane i adds
// the elements i, i + kLanes, ... in order; then lane i adds lane i + 8, then i + 4, i + 2, i + 1.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/hadamard/body.h"
#include "kernels/real/product.h"
#include "kernels/simd/functions.h"

namespace vlmforge::kernels {
namespace {

constexpr std::int64_t kLanes = 16;

// The sum of of(i) for i in [0, count).
template <class T, class Of>
VLMFORGE_INLINE T lane_sum(std::int64_t count, const Of& of) {
  T lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += of(i + lane);
  }
  for (std::int64_t lane = 0; i + lane < count; ++lane) lanes[lane] += of(i + lane);
  for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

template <class T>
void sum_rows(const T* x, std::int64_t columns, T* sums, Range rows) {
  for (std::int64_t row = rows.first; row < rows.last; ++row) {
    const T* const values = x + row * columns;
    sums[row] = lane_sum<T>(columns, [=](std::int64_t i) VLMFORGE_INLINE_LAMBDA { return values[i]; });
  }
}

inline void real_rms_norm(const RealNorm& step, Range rows) {
  const float count = static_cast<float>(step.columns);
  for (std::int64_t row = rows.first; row < rows.last; ++row) {
    const float* const x = step.x + row * step.columns;
    float* const y = step.output + row * step.columns;
    const float s =
        lane_sum<float>(step.columns, [=](std::int64_t i) VLMFORGE_INLINE_LAMBDA { return x[i] * x[i]; });
    const float r = 1.0F / __builtin_sqrtf(s / count + step.epsilon);
    for (std::int64_t i = 0; i < step.columns; ++i) y[i] = x[i] * r;
  }
}

inline void real_layer_norm(const RealNorm& step, Range rows) {
  const float count = static_cast<float>(step.columns);
  for (std::int64_t row = rows.first; row < rows.last; ++row) {
    const float* const x = step.x + row * step.columns;
    float* const y = step.output + row * step.columns;
    const float mean =
        lane_sum<float>(step.columns, [=](std::int64_t i) VLMFORGE_INLINE_LAMBDA { return x[i]; }) / count;
    for (std::int64_t i = 0; i < step.columns; ++i) y[i] = x[i] - mean;
    const float s =
        lane_sum<float>(step.columns, [=](std::int64_t i) VLMFORGE_INLINE_LAMBDA { return y[i] * y[i]; });
    const float r = 1.0F / __builtin_sqrtf(s / count + step.epsilon);
    for (std::int64_t i = 0; i < step.columns; ++i) y[i] = y[i] * r;
  }
}

template <class S>
void apply_function(RealFunction function, const float* x, float* output, Range elements) {
  for_each<S>(elements.first, elements.last, [&]<class W>(std::int64_t i) VLMFORGE_INLINE_LAMBDA {
    using F = typename W::F;
    const F t = W::load(x + i);
    if (function == RealFunction::sigmoid) {
      W::store(output + i, sigmoid<W>(t));
    } else if (function == RealFunction::silu) {
      W::store(output + i, t * sigmoid<W>(t));
    } else if (function == RealFunction::quick_gelu) {
      W::store(output + i, t * sigmoid<W>(t * W::splat(1.702F)));
    } else if (function == RealFunction::gelu) {
      const F turned = W::splat(1.0F) + erf<W>(t * W::splat(0.70710678F));
      W::store(output + i, (t * W::splat(0.5F)) * turned);
    } else {
      const F u = t * ((t * t) * W::splat(0.0713548163F) + W::splat(1.59576912F));
      W::store(output + i, t * sigmoid<W>(u));
    }
  });
}

// Multiplies some elements by `scale`, in place, and gives the largest.
template <class S>
VLMFORGE_INLINE float scale_and_find_largest(float* x, std::int64_t count, float scale) {
  typename S::F most = S::splat(-INFINITY);
  std::int64_t i = 0;
  for (; i + S::width <= count; i += S::width) {
    const typename S::F scaled = S::load(x + i) * S::splat(scale);
    S::store(x + i, scaled);
    most = S::max(most, scaled);
  }
  float largest[S::width];
  S::store(largest, most);
  for (std::int64_t lane = 1; lane < S::width; ++lane) {
    largest[0] = largest[lane] > largest[0] ? largest[lane] : largest[0];
  }
  for (; i < count; ++i) {
    x[i] = x[i] * scale;
    largest[0] = x[i] > largest[0] ? x[i] : largest[0];
  }
  return largest[0];
}

// Blocks of elements, each multiplied with a Hadamard matrix and divided by the root of its size.
template <class S>
void real_hadamard(const float* x, std::int64_t block, float* output, Range blocks) {
  const float root = __builtin_sqrtf(static_cast<float>(block));
  for (std::int64_t b = blocks.first * block; b < blocks.last * block; b += block) {
    float* const y = output + b;
    for (std::int64_t i = 0; i < block; i += S::width) S::store(y + i, mix<S>(S::load(x + b + i)));
    for (std::int64_t distance = S::width; distance < block; distance *= 2) {
      mix_vectors<S>(y, block, distance);
    }
    for (std::int64_t i = 0; i < block; ++i) y[i] = y[i] / root;
  }
}

// Scores of a row as probabilities, in place; those of keys it does not see become 0.
template <class S>
VLMFORGE_INLINE void softmax(float* scores, std::int64_t count, Range seen, float scale) {
  float* const x = scores + seen.first;
  const std::int64_t width = seen.last - seen.first;
  const float largest = scale_and_find_largest<S>(x, width, scale);
  for_each<S>(0, width, [&]<class W>(std::int64_t i) VLMFORGE_INLINE_LAMBDA {
    W::store(x + i, exp<W>(W::load(x + i) - W::splat(largest)));
  });
  const float total =
      lane_sum<float>(width, [=](std::int64_t i) VLMFORGE_INLINE_LAMBDA { return x[i]; });
  for (std::int64_t i = 0; i < width; ++i) x[i] = x[i] / total;
  for (std::int64_t i = 0; i < seen.first; ++i) scores[i] = 0.0F;
  for (std::int64_t i = seen.last; i < count; ++i) scores[i] = 0.0F;
}

// Some rows of one head.
template <class V, class S>
void attend(const RealAttention& step, std::int64_t head, Range rows) {
  const std::int64_t group = head / (step.heads / step.kv_heads);
  const std::int64_t q_row = step.heads * step.dim, k_row = step.kv_heads * step.dim;
  Range keys{step.keys, 0};
  for (std::int64_t i = rows.first; i < rows.last; ++i) {
    keys.first = std::min(keys.first, step.visible[2 * i]);
    keys.last = std::max(keys.last, step.visible[2 * i + 1]);
  }
  const std::int64_t height = rows.last - rows.first, width = keys.last - keys.first;
  float* const scores =
      static_cast<float*>(scratch(Scratch::scores, height * width * sizeof(float)));
  const float* const k = step.k + keys.first * k_row + group * step.dim;
  const float* const v = step.v + keys.first * k_row + group * step.dim;
  const std::int64_t start = rows.first * q_row + head * step.dim;
  product<V>({{step.q + start, q_row, 1}, {k, 1, k_row}, scores, width, height, width, step.dim,
              Into::replaced},
             {0, height}, {0, width});
  for (std::int64_t i = 0; i < height; ++i) {
    const std::int64_t* const seen = step.visible + 2 * (rows.first + i);
    softmax<S>(scores + i * width, width, {seen[0] - keys.first, seen[1] - keys.first}, step.scale);
  }
  product<V>({{scores, width, 1}, {v, k_row, 1}, step.output + start, q_row, height, step.dim, width,
              Into::replaced},
             {0, height}, {0, step.dim});
}

template <class V, class S>
void real_attention(const RealAttention& step, Range tasks) {
  for (std::int64_t task = tasks.first; task < tasks.last; ++task) {
    const std::int64_t first = task % step.blocks() * RealAttention::kBlock;
    attend<V, S>(step, task / step.blocks(),
                 {first, std::min(step.rows, first + RealAttention::kBlock)});
  }
}

}  // namespace
}  // namespace vlmforge::kernels
