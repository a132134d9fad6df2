#include "kernels/attention/body_avx2.h"

namespace vlmforge::kernels {
namespace {

// Without dot products of bytes: bytes are widened, pairs of int16 products are summed. Two vectors
// of six rows are as many sums as there are registers for.
struct Avx2Dots : Words {
  using V = Avx2;
  using QueryCode = std::int16_t;

  static VLMFORGE_INLINE void store_probabilities(std::uint8_t* output, std::int64_t,
                                                  std::int64_t j, __m256i codes) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(output + 2 * j), int16_words(codes));
  }

  static VLMFORGE_INLINE __m128i load_half(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
  }

  // Four words, four times.
  static VLMFORGE_INLINE __m256i four_words(const void* p) {
    std::int64_t four;
    std::memcpy(&four, p, sizeof four);
    return _mm256_set1_epi64x(four);
  }

  // Scores of four keys from the sums of their pairs. The lower half is extracted as well: GCC
  // keeps accumulators in memory that are cast to a half, or summed as whole vectors.
  static VLMFORGE_INLINE void store_scores(std::int32_t* scores, __m256i pairs) {
    const __m128i low = _mm256_extracti128_si256(pairs, 0);
    const __m128i sums = _mm_hadd_epi32(low, _mm256_extracti128_si256(pairs, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(scores), sums);
  }

  // Scores of eight keys.
  template <int R>
  static VLMFORGE_INLINE void score_half(const Attention& step, const AttentionScratch& s,
                                         std::int64_t half) {
    const std::int64_t steps = step.shape.key_steps();
    const std::uint8_t* keys = step.head.keys + half / 2 * steps * 64 + half % 2 * 32;
    __m256i sums[R][2];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
    for (std::int64_t i = 0; i < steps; ++i, keys += 64) {
      const __m256i first = _mm256_cvtepu8_epi16(load_half(keys));
      const __m256i second = _mm256_cvtepu8_epi16(load_half(keys + 16));
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const __m256i q = four_words(query<std::int16_t>(s, r) + 4 * i);
        sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(first, q));
        sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(second, q));
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      std::int32_t* const scores = s.scores + r * s.keys + half * 8;
      store_scores(scores, sums[r][0]);
      store_scores(scores + 4, sums[r][1]);
    }
  }

  template <int R>
  static void scores(const Attention& step, const AttentionScratch& s) {
    const std::int64_t halves = (step.seen + 7) / 8;
    for (std::int64_t i = 0; i < halves; ++i) score_half<R>(step, s, i);
  }

  // Eight channels over at most 1024 keys: 512 pairs of at most 2 * 32767 * 127 overflow,
  // 256 do not.
  template <int R>
  static VLMFORGE_INLINE void weigh_half(const Attention& step, const AttentionScratch& s,
                                         Range fours, std::int64_t half) {
    const std::int8_t* const values =
        step.head.values + half / 2 * step.shape.capacity * 16 + half % 2 * 32;
    __m256i sums[R][2];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
    for (std::int64_t j = fours.first; j < fours.last; ++j) {
      const __m256i first = _mm256_cvtepi8_epi16(load_half(values + j * 64));
      const __m256i second = _mm256_cvtepi8_epi16(load_half(values + j * 64 + 16));
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const __m256i e = four_words(s.probability + r * 2 * s.keys + 8 * j);
        sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(first, e));
        sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(second, e));
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      add_pairs(s.sums + r * s.channels + half * 8, sums[r][0]);
      add_pairs(s.sums + r * s.channels + half * 8 + 4, sums[r][1]);
    }
  }

  // sums[4] += the four pair sums of x; a sum of two may exceed 32 bits.
  static VLMFORGE_INLINE void add_pairs(double* sums, __m256i x) {
    const __m256d sums_of_two = _mm256_hadd_pd(half_as_doubles<0>(x), half_as_doubles<1>(x));
    const __m256d pairs = _mm256_permute4x64_pd(sums_of_two, 0xD8);
    _mm256_storeu_pd(sums, _mm256_add_pd(_mm256_loadu_pd(sums), pairs));
  }

  template <int R>
  static void weigh(const Attention& step, const AttentionScratch& s, Range fours) {
    constexpr std::int64_t whole = 256;
    for (std::int64_t first = fours.first; first < fours.last; first += whole) {
      const Range part{first, first + whole < fours.last ? first + whole : fours.last};
      for (std::int64_t i = 0; i < step.shape.value_blocks() * 2; ++i) {
        weigh_half<R>(step, s, part, i);
      }
    }
  }
};

}  // namespace

void attention_avx2(const Attention& step, std::byte* scratch) { attend<Avx2Dots>(step, scratch); }

}  // namespace vlmforge::kernels
