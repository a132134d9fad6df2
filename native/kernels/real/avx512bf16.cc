#include <immintrin.h>

#include "kernels/real/bfloat16.h"
#include "kernels/real/rows.h"
#include "kernels/simd/avx512.h"

namespace vlmforge::kernels {
namespace {

// Pairs of bfloat16. The instruction adds the product of a pair's upper half first, so that is where
// the first number of the two stands.
struct Pairs {
  using T = float;
  using F = __m512;
  using Panel = std::uint32_t;
  using Environment = Flushed;
  static constexpr std::int64_t width = 16, rows = 14, depth = 2, together = 2;
  static VLMFORGE_INLINE Panel panel(T first, T second) {
    const auto upper = std::bit_cast<std::uint32_t>(nearest_bfloat16(first));
    return upper | std::bit_cast<std::uint32_t>(nearest_bfloat16(second)) >> 16;
  }
  static VLMFORGE_INLINE F zero() { return _mm512_setzero_ps(); }
  static VLMFORGE_INLINE __m512bh load(const Panel* p) { return __m512bh(_mm512_loadu_si512(p)); }
  static VLMFORGE_INLINE void store(T* p, F x) { _mm512_storeu_ps(p, x); }
  static VLMFORGE_INLINE __m512bh splat(const Panel* p) {
    return __m512bh(_mm512_set1_epi32(std::bit_cast<int>(*p)));
  }
  static VLMFORGE_INLINE F fma(__m512bh a, __m512bh b, F c) { return _mm512_dpbf16_ps(c, a, b); }
};

}  // namespace

void product_avx512bf16(const RealProduct<float>& step, Range rows, Range columns) {
  product<Pairs>(step, rows, columns);
}

void attention_avx512bf16(const RealAttention& step, Range tasks) {
  real_attention<Pairs, Avx512>(step, tasks);
}

}  // namespace vlmforge::kernels
