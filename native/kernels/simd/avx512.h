// Vectors of 16 floats: AVX-512 F, BW, DQ, VL.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/simd/avx2.h"

namespace vlmforge::kernels {
namespace {

struct Avx512 {
  static constexpr std::int64_t width = 16;
  static constexpr int side_by_side = 8;  // see several.h
  using F = __m512;
  using I = __m512i;
  using Half = Avx2;

  static VLMFORGE_INLINE F splat(float x) { return _mm512_set1_ps(x); }
  static VLMFORGE_INLINE F load(const float* p) { return _mm512_loadu_ps(p); }
  static VLMFORGE_INLINE F load(const std::int16_t* p) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(x));
  }
  static VLMFORGE_INLINE F load_difference(const std::int32_t* p, std::int32_t subtrahend) {
    const __m512i x = _mm512_sub_epi32(_mm512_loadu_si512(p), _mm512_set1_epi32(subtrahend));
    return _mm512_cvtepi32_ps(x);
  }
  static VLMFORGE_INLINE I rounded(F x) { return _mm512_cvtps_epi32(x); }
  static VLMFORGE_INLINE I zeros() { return _mm512_setzero_si512(); }
  static VLMFORGE_INLINE I first(I x, std::int64_t n) {
    return _mm512_maskz_mov_epi32(static_cast<__mmask16>((1U << n) - 1), x);
  }
  static VLMFORGE_INLINE I behind(I x, std::int64_t n) {
    return _mm512_maskz_mov_epi32(static_cast<__mmask16>(~0U << n), x);
  }
  static VLMFORGE_INLINE I plus(I x, I y) { return _mm512_add_epi32(x, y); }
  static VLMFORGE_INLINE std::int64_t total(I x) {
    const __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(x));
    const __m512i high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(x, 1));
    return _mm512_reduce_add_epi64(_mm512_add_epi64(low, high));
  }
  static VLMFORGE_INLINE void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static VLMFORGE_INLINE F round(F x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static VLMFORGE_INLINE void store_rounded(std::int8_t* p, F x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
  }
  static VLMFORGE_INLINE void store_rounded(std::int16_t* p, F x) {
    const __m256i codes = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(x));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), codes);
  }
  // Each element a of a pair as far apart becomes a + b, each b becomes a - b.
  template <std::int64_t distance>
  static VLMFORGE_INLINE F butterfly(F x) {
    if constexpr (distance == 1) {
      return sums_and_differences(x, _mm512_permute_ps(x, 0xB1), 0xAAAA);
    } else if constexpr (distance == 2) {
      return sums_and_differences(x, _mm512_permute_ps(x, 0x4E), 0xCCCC);
    } else if constexpr (distance == 4) {
      return sums_and_differences(x, _mm512_shuffle_f32x4(x, x, 0xB1), 0xF0F0);
    } else {
      return sums_and_differences(x, _mm512_shuffle_f32x4(x, x, 0x4E), 0xFF00);
    }
  }
  static VLMFORGE_INLINE F sums_and_differences(F x, F other, __mmask16 second) {
    return _mm512_mask_sub_ps(_mm512_add_ps(x, other), second, other, x);
  }
  static VLMFORGE_INLINE F max(F x, F y) { return _mm512_max_ps(x, y); }
  static VLMFORGE_INLINE F min(F x, F y) { return _mm512_min_ps(x, y); }
  static VLMFORGE_INLINE F abs(F x) { return _mm512_abs_ps(x); }
  static VLMFORGE_INLINE F copy_sign(F magnitude, F sign) {
    return _mm512_or_ps(magnitude, _mm512_and_ps(sign, _mm512_set1_ps(-0.0F)));
  }
  static VLMFORGE_INLINE F where_less(F a, F b, F x, F y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
  }
  static VLMFORGE_INLINE F scaled(F x, F n) {
    const __m512i exponent = _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), exponent));
  }

  static VLMFORGE_INLINE std::int64_t sum(const std::int16_t* x, std::int64_t n) {
    __m512i sums = _mm512_setzero_si512();  // 16 sums of at most 65536 / 32 pairs: no overflow
    std::int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
      const __m512i pairs = _mm512_madd_epi16(_mm512_loadu_si512(x + i), _mm512_set1_epi16(1));
      sums = _mm512_add_epi32(sums, pairs);
    }
    return total(sums) + Scalar::sum(x + i, n - i);
  }
  static VLMFORGE_INLINE std::int64_t sum_of_squares(const std::int16_t* x, std::int64_t n) {
    __m512i low = _mm512_setzero_si512(), high = low;
    std::int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
      const __m512i values = _mm512_loadu_si512(x + i);
      const __m512i pairs = _mm512_madd_epi16(values, values);  // at most 2 * 32767^2 < 2^31
      low = _mm512_add_epi64(low, _mm512_cvtepi32_epi64(_mm512_castsi512_si256(pairs)));
      high = _mm512_add_epi64(high, _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(pairs, 1)));
    }
    return _mm512_reduce_add_epi64(_mm512_add_epi64(low, high)) +
           Scalar::sum_of_squares(x + i, n - i);
  }
};

}  // namespace
}  // namespace vlmforge::kernels
