#include "kernels/attention/body.h"
#include "kernels/simd/avx512.h"

namespace vlmforge::kernels {
namespace {

struct Avx512Dots : BytePlanes {
  using V = Avx512;
  using QueryCode = std::int8_t;

  static VLMFORGE_INLINE void store_probabilities(std::uint8_t* output, std::int64_t keys,
                                                  std::int64_t j, __m512i codes) {
    const __m128i low = _mm512_cvtepi32_epi8(codes);
    const __m128i high = _mm512_cvtepi32_epi8(_mm512_srli_epi32(codes, 8));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(output + j), low);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(output + keys + j), high);
  }

  // Scores of B blocks of 16 keys at a time: every load of q serves B dot products.
  template <int R, int B>
  static VLMFORGE_INLINE void score_blocks(const Attention& step, const AttentionScratch& s,
                                           std::int64_t block) {
    const std::int64_t steps = step.shape.key_steps();
    const std::uint8_t* keys = step.head.keys + block * steps * 64;
    __m512i sums[R][B];
    for (int r = 0; r < R; ++r) {
      for (int b = 0; b < B; ++b) sums[r][b] = _mm512_setzero_si512();
    }
    for (std::int64_t i = 0; i < steps; ++i, keys += 64) {
      __m512i k[B];
      for (int b = 0; b < B; ++b) k[b] = _mm512_loadu_si512(keys + b * steps * 64);
      for (int r = 0; r < R; ++r) {
        const __m512i q = _mm512_set1_epi32(four_bytes(query<std::int8_t>(s, r) + 4 * i));
        for (int b = 0; b < B; ++b) sums[r][b] = _mm512_dpbusd_epi32(sums[r][b], k[b], q);
      }
    }
    for (int r = 0; r < R; ++r) {
      for (int b = 0; b < B; ++b) {
        _mm512_storeu_si512(s.scores + r * s.keys + (block + b) * 16, sums[r][b]);
      }
    }
  }

  template <int R>
  static void scores(const Attention& step, const AttentionScratch& s) {
    const std::int64_t blocks = (step.seen + 15) / 16;
    std::int64_t block = 0;
    for (; block + 4 <= blocks; block += 4) score_blocks<R, 4>(step, s, block);
    for (; block < blocks; ++block) score_blocks<R, 1>(step, s, block);
  }

  template <int R, int B>
  static VLMFORGE_INLINE void weigh_blocks(const Attention& step, const AttentionScratch& s,
                                           Range fours, std::int64_t block) {
    const std::int64_t stride = step.shape.capacity * 16;
    const std::int8_t* const values = step.head.values + block * stride;
    __m512i low[R][B], high[R][B];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
      for (int b = 0; b < B; ++b) low[r][b] = high[r][b] = _mm512_setzero_si512();
    }
    for (std::int64_t j = fours.first; j < fours.last; ++j) {
      __m512i v[B];
#pragma GCC unroll 16
      for (int b = 0; b < B; ++b) v[b] = _mm512_loadu_si512(values + b * stride + j * 64);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const std::uint8_t* const e = s.probability + r * 2 * s.keys + 4 * j;
        const __m512i e_low = _mm512_set1_epi32(four_bytes(e));
        const __m512i e_high = _mm512_set1_epi32(four_bytes(e + s.keys));
#pragma GCC unroll 16
        for (int b = 0; b < B; ++b) {
          low[r][b] = _mm512_dpbusd_epi32(low[r][b], e_low, v[b]);
          high[r][b] = _mm512_dpbusd_epi32(high[r][b], e_high, v[b]);
        }
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
      for (int b = 0; b < B; ++b) {
        add_sums(s.sums + r * s.channels + (block + b) * 16, low[r][b], high[r][b]);
      }
    }
  }

  // sums[16] += 256 * high + low, all exact.
  static VLMFORGE_INLINE void add_sums(double* sums, __m512i low, __m512i high) {
    add_halves<0>(sums, low, high);
    add_halves<1>(sums + 8, low, high);
  }

  // The lower half is extracted as well: GCC keeps accumulators in memory that are cast to a half.
  template <int half>
  static VLMFORGE_INLINE void add_halves(double* sums, __m512i low, __m512i high) {
    const __m512d first = _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(high, half));
    const __m512d second = _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(low, half));
    const __m512d sum = _mm512_add_pd(_mm512_mul_pd(first, _mm512_set1_pd(256.0)), second);
    _mm512_storeu_pd(sums, _mm512_add_pd(_mm512_loadu_pd(sums), sum));
  }

  template <int R>
  static void weigh(const Attention& step, const AttentionScratch& s, Range fours) {
    const std::int64_t blocks = step.shape.value_blocks();
    std::int64_t block = 0;
    for (; block + 2 <= blocks; block += 2) weigh_blocks<R, 2>(step, s, fours, block);
    for (; block < blocks; ++block) weigh_blocks<R, 1>(step, s, fours, block);
  }
};

}  // namespace

void attention_avx512(const Attention& step, std::byte* scratch) {
  attend<Avx512Dots>(step, scratch);
}

}  // namespace vlmforge::kernels
