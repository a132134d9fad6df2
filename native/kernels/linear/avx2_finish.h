// The last step of a product with AVX2: exact sums to output codes, 16 channels at a time.
#pragma once

#include <immintrin.h>

#include "finish.h"

namespace vlmforge::kernels {
namespace {

// Four int64 below 2^53 as float64, exactly: the halves are the mantissas of 2^52 and 2^84.
inline __m256d exact_doubles(__m256i values) {
  const __m256i low = _mm256_blend_epi32(_mm256_set1_epi64x(0x4330000000000000), values, 0x55);
  const __m256i high = _mm256_xor_si256(_mm256_srli_epi64(values, 32),
                                        _mm256_set1_epi64x(0x4530000080000000));
  const __m256d offset = _mm256_castsi256_pd(_mm256_set1_epi64x(0x4530000080100000));
  const __m256d difference = _mm256_sub_pd(_mm256_castsi256_pd(high), offset);
  return _mm256_add_pd(difference, _mm256_castsi256_pd(low));
}

inline __m256i four_sums(const std::int64_t* sums, int first) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + first));
}

inline __m256i four_sums(const Halves& sums, int first) {
  const auto* high = reinterpret_cast<const __m128i*>(sums.high + first);
  const __m256i wide = _mm256_cvtepi32_epi64(_mm_loadu_si128(high));
  if (sums.low == nullptr) return wide;
  const auto* low = reinterpret_cast<const __m128i*>(sums.low + first);
  return _mm256_add_epi64(_mm256_slli_epi64(wide, 8), _mm256_cvtepi32_epi64(_mm_loadu_si128(low)));
}

// Four exact sums plus their biases, rounded once, times their multipliers.
inline __m128 scaled(__m256i sums, const LinearWeight& weight, std::int64_t channel) {
  if (weight.bias64 != nullptr) {
    const auto* bias = reinterpret_cast<const __m256i*>(weight.bias64 + channel);
    sums = _mm256_add_epi64(sums, _mm256_loadu_si256(bias));
  } else if (weight.bias32 != nullptr) {
    const auto* bias = reinterpret_cast<const __m128i*>(weight.bias32 + channel);
    sums = _mm256_add_epi64(sums, _mm256_cvtepi32_epi64(_mm_loadu_si128(bias)));
  }
  const __m128 rounded = _mm256_cvtpd_ps(exact_doubles(sums));
  return _mm_mul_ps(rounded, _mm_loadu_ps(weight.multiplier + channel));
}

inline __m128i rounded_codes(__m128 values, float limit) {
  values = _mm_max_ps(values, _mm_set1_ps(-limit));
  return _mm_cvtps_epi32(_mm_min_ps(values, _mm_set1_ps(limit)));
}

template <class Sums>
void finish_avx2(const Sums& sums, const LinearWeight& weight, const Output& y, std::int64_t row,
                 std::int64_t block) {
  if (channels_in(weight, block) < kChannelsPerBlock || y.element == Element::int32) {
    finish(sums, weight, y, row, block);
    return;
  }
  const std::int64_t channel = block * kChannelsPerBlock;
  const std::int64_t index = row * y.stride + channel;
  __m128 values[4];
  for (int i = 0; i < 4; ++i) values[i] = scaled(four_sums(sums, 4 * i), weight, channel + 4 * i);
  if (y.element == Element::float32) {
    auto* target = static_cast<float*>(y.data) + index;
    for (int i = 0; i < 4; ++i) _mm_storeu_ps(target + 4 * i, values[i]);
    return;
  }
  const float limit = y.element == Element::int8 ? 127.0F : 32767.0F;
  const __m128i low =
      _mm_packs_epi32(rounded_codes(values[0], limit), rounded_codes(values[1], limit));
  const __m128i high =
      _mm_packs_epi32(rounded_codes(values[2], limit), rounded_codes(values[3], limit));
  if (y.element == Element::int8) {
    auto* target = reinterpret_cast<__m128i*>(static_cast<std::int8_t*>(y.data) + index);
    _mm_storeu_si128(target, _mm_packs_epi16(low, high));
  } else {
    auto* target = reinterpret_cast<__m128i*>(static_cast<std::int16_t*>(y.data) + index);
    _mm_storeu_si128(target, low);
    _mm_storeu_si128(target + 1, high);
  }
}

}  // namespace
}  // namespace vlmforge::kernels
