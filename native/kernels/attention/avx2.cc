#include "kernels/attention/body_avx2.h"

namespace vlmforge::kernels {
namespace {

// Without dot products of bytes: bytes are widened, pairs of int16 products are summed.
struct Avx2Dots : Words {
  using V = Avx2;

  static VLMFORGE_INLINE void store_probabilities(std::uint8_t* output, std::int64_t,
                                                  std::int64_t j, __m256i codes) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(output + 2 * j), int16_words(codes));
  }

  // Four pairs of sums, of four keys or channels each, to four sums.
  static VLMFORGE_INLINE __m128i pair_sums(__m256i x) {
    const __m256i sums = _mm256_hadd_epi32(x, x);
    return _mm256_castsi256_si128(_mm256_permute4x64_epi64(sums, 0x08));
  }

  // Scores of four keys.
  template <int R>
  static VLMFORGE_INLINE void score_quarter(const Attention& step, const AttentionScratch& s,
                                            std::int64_t quarter) {
    const std::int64_t steps = step.shape.key_steps();
    const std::uint8_t* keys = step.head.keys + quarter / 4 * steps * 64 + quarter % 4 * 16;
    __m256i sums[R];
    for (int r = 0; r < R; ++r) sums[r] = _mm256_setzero_si256();
    for (std::int64_t i = 0; i < steps; ++i, keys += 64) {
      const __m256i k =
          _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(keys)));
      for (int r = 0; r < R; ++r) {
        const std::int32_t four = four_bytes(s.queries + r * s.query_stride + 4 * i);
        const __m256i q = _mm256_cvtepi8_epi16(_mm_set1_epi32(four));
        sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(k, q));
      }
    }
    for (int r = 0; r < R; ++r) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(s.scores + r * s.keys + quarter * 4),
                       pair_sums(sums[r]));
    }
  }

  template <int R>
  static void scores(const Attention& step, const AttentionScratch& s) {
    const std::int64_t quarters = (step.seen + 3) / 4;
    for (std::int64_t i = 0; i < quarters; ++i) score_quarter<R>(step, s, i);
  }

  // Four channels over at most 1024 keys: 512 pairs of at most 2 * 32767 * 127 overflow,
  // 256 do not.
  template <int R>
  static VLMFORGE_INLINE void weigh_quarter(const Attention& step, const AttentionScratch& s,
                                            Range fours, std::int64_t quarter) {
    const std::int8_t* const values =
        step.head.values + quarter / 4 * step.shape.capacity * 16 + quarter % 4 * 16;
    __m256i sums[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) sums[r] = _mm256_setzero_si256();
    for (std::int64_t j = fours.first; j < fours.last; ++j) {
      const __m256i v = _mm256_cvtepi8_epi16(
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(values + j * 64)));
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const std::uint8_t* const e = s.probability + r * 2 * s.keys + 8 * j;
        std::int64_t four;
        std::memcpy(&four, e, sizeof four);
        const __m256i products = _mm256_madd_epi16(v, _mm256_set1_epi64x(four));
        sums[r] = _mm256_add_epi32(sums[r], products);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) add_pairs(s.sums + r * s.channels + quarter * 4, sums[r]);
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
      for (std::int64_t i = 0; i < step.shape.value_blocks() * 4; ++i) {
        weigh_quarter<R>(step, s, part, i);
      }
    }
  }
};

}  // namespace

void attention_avx2(const Attention& step, std::byte* scratch) { attend<Avx2Dots>(step, scratch); }

}  // namespace vlmforge::kernels
