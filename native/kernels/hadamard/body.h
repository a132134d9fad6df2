#pragma once

#include <cstdint>

#include "kernels/hadamard/hadamard.h"
#include "kernels/simd/functions.h"

namespace vlmforge::kernels {
namespace {

// Sums and differences of elements 1, 2, 4, ... apart, up to the width of a vector.
template <class V, std::int64_t distance = 1>
VLMFORGE_INLINE typename V::F mix(typename V::F x) {
  if constexpr (distance < V::width) {
    return mix<V, 2 * distance>(V::template butterfly<distance>(x));
  } else {
    return x;
  }
}

template <class V>
VLMFORGE_INLINE void mix_vectors(float* sums, std::int64_t block, std::int64_t distance) {
  for (std::int64_t start = 0; start < block; start += 2 * distance) {
    for (std::int64_t i = start; i < start + distance; i += V::width) {
      const typename V::F a = V::load(sums + i), b = V::load(sums + i + distance);
      V::store(sums + i, a + b);
      V::store(sums + i + distance, a - b);
    }
  }
}

template <class V, class Code>
void hadamard_codes(const Hadamard& step, Range blocks) {
  alignas(64) float sums[kMaxHadamardBlock];
  Code* const output = static_cast<Code*>(step.output);
  for (std::int64_t b = blocks.first * step.block; b < blocks.last * step.block; b += step.block) {
    for (std::int64_t i = 0; i < step.block; i += V::width) {
      V::store(sums + i, mix<V>(V::load(step.x + b + i)));
    }
    for (std::int64_t distance = V::width; distance < step.block; distance *= 2) {
      mix_vectors<V>(sums, step.block, distance);
    }
    for (std::int64_t i = 0; i < step.block; i += V::width) {
      store_code<V>(output + b + i, V::load(sums + i) * V::splat(step.multiplier));
    }
  }
}

template <class V>
void hadamard(const Hadamard& step, Range blocks) {
  if (step.element == Element::int8) {
    hadamard_codes<V, std::int8_t>(step, blocks);
  } else {
    hadamard_codes<V, std::int16_t>(step, blocks);
  }
}

}  // namespace
}  // namespace vlmforge::kernels
