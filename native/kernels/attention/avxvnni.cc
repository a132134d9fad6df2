#include "kernels/attention/body_avx2.h"

namespace vlmforge::kernels {
namespace {

// AVX-VNNI: four products of unsigned and signed bytes are summed at once.
struct VnniDots : BytePlanes {
  using V = Avx2;
  using QueryCode = std::int8_t;

  static VLMFORGE_INLINE void store_probabilities(std::uint8_t* output, std::int64_t keys,
                                                  std::int64_t j, __m256i codes) {
    store_bytes(output + j, _mm256_and_si256(codes, _mm256_set1_epi32(0xFF)));
    store_bytes(output + keys + j, _mm256_srli_epi32(codes, 8));
  }

  // Eight integers below 256.
  static VLMFORGE_INLINE void store_bytes(std::uint8_t* output, __m256i x) {
    const __m128i words = int16_words(x);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(output), _mm_packus_epi16(words, words));
  }

  template <int R>
  static VLMFORGE_INLINE void score_half(const Attention& step, const AttentionScratch& s,
                                         std::int64_t half) {
    const std::int64_t steps = step.shape.key_steps();
    const std::uint8_t* keys = step.head.keys + half / 2 * steps * 64 + half % 2 * 32;
    __m256i sums[R];
    for (int r = 0; r < R; ++r) sums[r] = _mm256_setzero_si256();
    for (std::int64_t i = 0; i < steps; ++i, keys += 64) {
      const __m256i k = load_vector(keys);
      for (int r = 0; r < R; ++r) {
        const __m256i q = _mm256_set1_epi32(four_bytes(query<std::int8_t>(s, r) + 4 * i));
        sums[r] = _mm256_dpbusd_avx_epi32(sums[r], k, q);
      }
    }
    for (int r = 0; r < R; ++r) store_vector(s.scores + r * s.keys + half * 8, sums[r]);
  }

  template <int R>
  static void scores(const Attention& step, const AttentionScratch& s) {
    const std::int64_t halves = (step.seen + 7) / 8;
    for (std::int64_t half = 0; half < halves; ++half) score_half<R>(step, s, half);
  }

  template <int R>
  static VLMFORGE_INLINE void weigh_half(const Attention& step, const AttentionScratch& s,
                                         Range fours, std::int64_t half) {
    const std::int8_t* const values =
        step.head.values + half / 2 * step.shape.capacity * 16 + half % 2 * 32;
    __m256i low[R], high[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) low[r] = high[r] = _mm256_setzero_si256();
    for (std::int64_t j = fours.first; j < fours.last; ++j) {
      const __m256i v = load_vector(values + j * 64);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const std::uint8_t* const e = s.probability + r * 2 * s.keys + 4 * j;
        low[r] = _mm256_dpbusd_avx_epi32(low[r], _mm256_set1_epi32(four_bytes(e)), v);
        high[r] = _mm256_dpbusd_avx_epi32(high[r], _mm256_set1_epi32(four_bytes(e + s.keys)), v);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      double* const sums = s.sums + r * s.channels + half * 8;
      add_scaled(sums, high[r], 256.0);
      add_scaled(sums, low[r], 1.0);
    }
  }

  template <int R>
  static void weigh(const Attention& step, const AttentionScratch& s, Range fours) {
    for (std::int64_t half = 0; half < step.shape.value_blocks() * 2; ++half) {
      weigh_half<R>(step, s, fours, half);
    }
  }
};

}  // namespace

void attention_avxvnni(const Attention& step, std::byte* scratch) {
  attend<VnniDots>(step, scratch);
}

}  // namespace vlmforge::kernels
