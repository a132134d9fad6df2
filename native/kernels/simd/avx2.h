// Vectors of 8 floats: AVX2.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/simd/scalar.h"

namespace vlmforge::kernels {
namespace {

struct Avx2 {
  static constexpr std::int64_t width = 8;
  static constexpr int side_by_side = 8;  // see several.h
  using F = __m256;
  using I = __m256i;

  static VLMFORGE_INLINE F splat(float x) { return _mm256_set1_ps(x); }
  static VLMFORGE_INLINE F load(const float* p) { return _mm256_loadu_ps(p); }
  static VLMFORGE_INLINE F load(const std::int16_t* p) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(x));
  }
  static VLMFORGE_INLINE F load_difference(const std::int32_t* p, std::int32_t subtrahend) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(x, _mm256_set1_epi32(subtrahend)));
  }
  static VLMFORGE_INLINE I rounded(F x) { return _mm256_cvtps_epi32(x); }
  static VLMFORGE_INLINE I zeros() { return _mm256_setzero_si256(); }
  static VLMFORGE_INLINE I first(I x, std::int64_t n) {
    const __m256i places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i count = _mm256_set1_epi32(static_cast<int>(n));
    return _mm256_and_si256(x, _mm256_cmpgt_epi32(count, places));
  }
  static VLMFORGE_INLINE I behind(I x, std::int64_t n) { return _mm256_sub_epi32(x, first(x, n)); }
  static VLMFORGE_INLINE I plus(I x, I y) { return _mm256_add_epi32(x, y); }
  static VLMFORGE_INLINE std::int64_t total(I x) { return total_of(widened_sum(x)); }
  static VLMFORGE_INLINE void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static VLMFORGE_INLINE F round(F x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static VLMFORGE_INLINE __m128i int16_codes(F x) {
    const __m256i codes = _mm256_cvtps_epi32(x);
    return _mm_packs_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
  }
  static VLMFORGE_INLINE void store_rounded(std::int8_t* p, F x) {
    const __m128i codes = int16_codes(x);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(codes, codes));
  }
  static VLMFORGE_INLINE void store_rounded(std::int16_t* p, F x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), int16_codes(x));
  }
  // Each element a of a pair as far apart becomes a + b, each b becomes a - b.
  template <std::int64_t distance>
  static VLMFORGE_INLINE F butterfly(F x) {
    if constexpr (distance == 1) {
      return sums_and_differences<0xAA>(x, _mm256_permute_ps(x, 0xB1));
    } else if constexpr (distance == 2) {
      return sums_and_differences<0xCC>(x, _mm256_permute_ps(x, 0x4E));
    } else {
      return sums_and_differences<0xF0>(x, _mm256_permute2f128_ps(x, x, 1));
    }
  }
  template <int second>
  static VLMFORGE_INLINE F sums_and_differences(F x, F other) {
    return _mm256_blend_ps(_mm256_add_ps(x, other), _mm256_sub_ps(other, x), second);
  }
  static VLMFORGE_INLINE F max(F x, F y) { return _mm256_max_ps(x, y); }
  static VLMFORGE_INLINE F min(F x, F y) { return _mm256_min_ps(x, y); }
  static VLMFORGE_INLINE F abs(F x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), x); }
  static VLMFORGE_INLINE F copy_sign(F magnitude, F sign) {
    return _mm256_or_ps(magnitude, _mm256_and_ps(sign, _mm256_set1_ps(-0.0F)));
  }
  static VLMFORGE_INLINE F where_less(F a, F b, F x, F y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
  }
  static VLMFORGE_INLINE F scaled(F x, F n) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
  }

  static VLMFORGE_INLINE __m256i widened_sum(__m256i x) {
    const __m256i low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(x));
    return _mm256_add_epi64(low, _mm256_cvtepi32_epi64(_mm256_extracti128_si256(x, 1)));
  }
  static VLMFORGE_INLINE std::int64_t total_of(__m256i x) {
    const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    alignas(16) std::int64_t parts[2];
    _mm_store_si128(reinterpret_cast<__m128i*>(parts), half);
    return parts[0] + parts[1];
  }
  static VLMFORGE_INLINE std::int64_t sum(const std::int16_t* x, std::int64_t n) {
    __m256i sums = _mm256_setzero_si256();  // 8 sums of at most 65536 / 16 pairs: no overflow
    std::int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
      const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
      sums = _mm256_add_epi32(sums, _mm256_madd_epi16(values, _mm256_set1_epi16(1)));
    }
    return total(sums) + Scalar::sum(x + i, n - i);
  }
  static VLMFORGE_INLINE std::int64_t sum_of_squares(const std::int16_t* x, std::int64_t n) {
    __m256i sums = _mm256_setzero_si256();
    std::int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
      const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
      // A pair is at most 2 * 32767^2 < 2^31.
      sums = _mm256_add_epi64(sums, widened_sum(_mm256_madd_epi16(values, values)));
    }
    return total_of(sums) + Scalar::sum_of_squares(x + i, n - i);
  }
};

}  // namespace
}  // namespace vlmforge::kernels
