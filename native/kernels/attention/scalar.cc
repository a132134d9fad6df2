#include "kernels/attention/body.h"
#include "kernels/simd/scalar.h"

namespace vlmforge::kernels {
namespace {

struct ScalarDots : Words {
  using V = Scalar;
  using QueryCode = std::int8_t;

  static VLMFORGE_INLINE void store_probabilities(std::uint8_t* output, std::int64_t,
                                                  std::int64_t j, Scalar::I code) {
    const auto word = static_cast<std::int16_t>(code);
    std::memcpy(output + 2 * j, &word, sizeof word);
  }

  template <int R>
  static void scores(const Attention& step, const AttentionScratch& s) {
    const std::int64_t steps = step.shape.key_steps();
    for (int r = 0; r < R; ++r) {
      const std::int8_t* const q = query<std::int8_t>(s, r);
      for (std::int64_t j = step.queries[r].first; j < step.queries[r].seen; ++j) {
        const std::uint8_t* const key = step.head.keys + j / 16 * steps * 64 + j % 16 * 4;
        std::int32_t sum = 0;
        for (std::int64_t d = 0; d < step.shape.head_dim; ++d) {
          sum += q[d] * key[d / 4 * 64 + d % 4];
        }
        s.scores[r * s.keys + j] = sum;
      }
    }
  }

  template <int R>
  static void weigh(const Attention& step, const AttentionScratch& s, Range fours) {
    for (int r = 0; r < R; ++r) {
      const std::int16_t* const e =
          reinterpret_cast<const std::int16_t*>(s.probability + r * 2 * s.keys);
      const std::int64_t last = fours.last * 4 < step.queries[r].seen ? fours.last * 4
                                                                      : step.queries[r].seen;
      for (std::int64_t d = 0; d < step.shape.head_dim; ++d) {
        const std::int8_t* const v =
            step.head.values + d / 16 * step.shape.capacity * 16 + d % 16 * 4;
        std::int64_t sum = 0;
        for (std::int64_t j = fours.first * 4; j < last; ++j) {
          sum += std::int32_t{e[j]} * v[j / 4 * 64 + j % 4];
        }
        s.sums[r * s.channels + d] += static_cast<double>(sum);
      }
    }
  }
};

}  // namespace

void attention_scalar(const Attention& step, std::byte* scratch) {
  attend<ScalarDots>(step, scratch);
}

}  // namespace vlmforge::kernels
