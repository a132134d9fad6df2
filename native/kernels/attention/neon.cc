#include "kernels/attention/body.h"
#include "kernels/simd/neon.h"

namespace vlmforge::kernels {
namespace {

// The dot product of signed bytes. Keys lose their offset again, probabilities are split into
// 7 low bits and 8 high ones.
struct NeonDots {
  using V = Neon;
  using QueryCode = std::int8_t;

  static VLMFORGE_INLINE void store_probabilities(std::uint8_t* output, std::int64_t keys,
                                                  std::int64_t j, int32x4_t codes) {
    std::int32_t each[4];
    vst1q_s32(each, codes);
    for (int i = 0; i < 4; ++i) {
      output[j + i] = static_cast<std::uint8_t>(each[i] & 0x7F);
      // At most 255, of which the dot product wants a signed byte: 128 less.
      output[keys + j + i] = static_cast<std::uint8_t>((each[i] >> 7) - 128);
    }
  }
  static VLMFORGE_INLINE void clear_probabilities(std::uint8_t* output, std::int64_t keys,
                                                  std::int64_t first, std::int64_t last) {
    const std::size_t size = static_cast<std::size_t>(last - first);
    std::memset(output + first, 0, size);
    std::memset(output + keys + first, 0x80, size);
  }

  template <int R>
  static VLMFORGE_INLINE void score_quarter(const Attention& step, const AttentionScratch& s,
                                            std::int64_t quarter) {
    const std::int64_t steps = step.shape.key_steps();
    const std::uint8_t* keys = step.head.keys + quarter / 4 * steps * 64 + quarter % 4 * 16;
    const uint8x16_t offset = vdupq_n_u8(0x80);
    int32x4_t sums[R];
    for (int r = 0; r < R; ++r) sums[r] = vdupq_n_s32(0);
    for (std::int64_t i = 0; i < steps; ++i, keys += 64) {
      const int8x16_t k = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(keys), offset));
      for (int r = 0; r < R; ++r) {
        const std::int32_t four = four_bytes(query<std::int8_t>(s, r) + 4 * i);
        sums[r] = vdotq_s32(sums[r], k, vreinterpretq_s8_s32(vdupq_n_s32(four)));
      }
    }
    for (int r = 0; r < R; ++r) vst1q_s32(s.scores + r * s.keys + quarter * 4, sums[r]);
  }

  template <int R>
  static void scores(const Attention& step, const AttentionScratch& s) {
    const std::int64_t quarters = (step.seen + 3) / 4;
    for (std::int64_t i = 0; i < quarters; ++i) score_quarter<R>(step, s, i);
  }

  template <int R>
  static VLMFORGE_INLINE void weigh_quarter(const Attention& step, const AttentionScratch& s,
                                            Range fours, std::int64_t quarter) {
    const std::int8_t* const values =
        step.head.values + quarter / 4 * step.shape.capacity * 16 + quarter % 4 * 16;
    const int8x16_t ones = vdupq_n_s8(1);
    int32x4_t low[R], high[R], total = vdupq_n_s32(0);
    for (int r = 0; r < R; ++r) low[r] = high[r] = vdupq_n_s32(0);
    for (std::int64_t j = fours.first; j < fours.last; ++j) {
      const int8x16_t v = vld1q_s8(values + j * 64);
      total = vdotq_s32(total, v, ones);
      for (int r = 0; r < R; ++r) {
        const std::uint8_t* const e = s.probability + r * 2 * s.keys + 4 * j;
        const int32x4_t e_low = vdupq_n_s32(four_bytes(e));
        const int32x4_t e_high = vdupq_n_s32(four_bytes(e + s.keys));
        low[r] = vdotq_s32(low[r], v, vreinterpretq_s8_s32(e_low));
        high[r] = vdotq_s32(high[r], v, vreinterpretq_s8_s32(e_high));
      }
    }
    for (int r = 0; r < R; ++r) {
      // The offset of the high bits: 128 for every value, those behind the last key too.
      add_scaled(s.sums + r * s.channels + quarter * 4, low[r], 1.0);
      add_scaled(s.sums + r * s.channels + quarter * 4, high[r], 128.0);
      add_scaled(s.sums + r * s.channels + quarter * 4, total, 128.0 * 128.0);
    }
  }

  static VLMFORGE_INLINE void add_scaled(double* sums, int32x4_t x, double scale) {
    const float64x2_t first = vcvtq_f64_s64(vmovl_s32(vget_low_s32(x)));
    const float64x2_t second = vcvtq_f64_s64(vmovl_high_s32(x));
    vst1q_f64(sums, vaddq_f64(vld1q_f64(sums), vmulq_n_f64(first, scale)));
    vst1q_f64(sums + 2, vaddq_f64(vld1q_f64(sums + 2), vmulq_n_f64(second, scale)));
  }

  template <int R>
  static void weigh(const Attention& step, const AttentionScratch& s, Range fours) {
    for (std::int64_t i = 0; i < step.shape.value_blocks() * 4; ++i) {
      weigh_quarter<R>(step, s, fours, i);
    }
  }
};

}  // namespace

void attention_neon(const Attention& step, std::byte* scratch) { attend<NeonDots>(step, scratch); }

}  // namespace vlmforge::kernels
