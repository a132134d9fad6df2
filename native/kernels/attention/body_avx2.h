// What the two variants of attention with 256-bit vectors share.
#pragma once

#include "kernels/attention/body.h"
#include "kernels/simd/avx2.h"

namespace vlmforge::kernels {
namespace {

VLMFORGE_INLINE __m256i load_vector(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

VLMFORGE_INLINE void store_vector(void* p, __m256i x) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), x);
}

// Eight integers that fit int16.
VLMFORGE_INLINE __m128i int16_words(__m256i x) {
  return _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

// Half of an accumulator as doubles. The lower one is extracted as well: GCC keeps an accumulator
// in memory that is cast to its half.
template <int half>
VLMFORGE_INLINE __m256d half_as_doubles(__m256i x) {
  return _mm256_cvtepi32_pd(_mm256_extracti128_si256(x, half));
}

// sums[8] += scale * x, exact.
VLMFORGE_INLINE void add_scaled(double* sums, __m256i x, double scale) {
  const __m256d first = half_as_doubles<0>(x), second = half_as_doubles<1>(x);
  const __m256d factor = _mm256_set1_pd(scale);
  _mm256_storeu_pd(sums, _mm256_add_pd(_mm256_loadu_pd(sums), _mm256_mul_pd(first, factor)));
  sums += 4;
  _mm256_storeu_pd(sums, _mm256_add_pd(_mm256_loadu_pd(sums), _mm256_mul_pd(second, factor)));
}

}  // namespace
}  // namespace vlmforge::kernels
