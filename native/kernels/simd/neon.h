// Vectors of 4 floats: AArch64 NEON.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/simd/scalar.h"

namespace vlmforge::kernels {
namespace {

struct Neon {
  static constexpr std::int64_t width = 4;
  static constexpr int side_by_side = 8;  // see several.h
  using F = float32x4_t;
  using I = int32x4_t;

  static VLMFORGE_INLINE F splat(float x) { return vdupq_n_f32(x); }
  static VLMFORGE_INLINE F load(const float* p) { return vld1q_f32(p); }
  static VLMFORGE_INLINE F load(const std::int16_t* p) {
    return vcvtq_f32_s32(vmovl_s16(vld1_s16(p)));
  }
  static VLMFORGE_INLINE F load_difference(const std::int32_t* p, std::int32_t subtrahend) {
    return vcvtq_f32_s32(vsubq_s32(vld1q_s32(p), vdupq_n_s32(subtrahend)));
  }
  static VLMFORGE_INLINE I rounded(F x) { return vcvtnq_s32_f32(x); }
  static VLMFORGE_INLINE I zeros() { return vdupq_n_s32(0); }
  static VLMFORGE_INLINE I first(I x, std::int64_t n) {
    const std::int32_t places[] = {0, 1, 2, 3};
    const uint32x4_t wanted = vcltq_s32(vld1q_s32(places), vdupq_n_s32(static_cast<int>(n)));
    return vandq_s32(x, vreinterpretq_s32_u32(wanted));
  }
  static VLMFORGE_INLINE I behind(I x, std::int64_t n) { return vsubq_s32(x, first(x, n)); }
  static VLMFORGE_INLINE I plus(I x, I y) { return vaddq_s32(x, y); }
  static VLMFORGE_INLINE std::int64_t total(I x) { return vaddlvq_s32(x); }
  static VLMFORGE_INLINE void store(float* p, F x) { vst1q_f32(p, x); }
  static VLMFORGE_INLINE F round(F x) { return vrndnq_f32(x); }
  static VLMFORGE_INLINE void store_rounded(std::int8_t* p, F x) {
    const int16x4_t codes = vmovn_s32(vcvtnq_s32_f32(x));
    const int8x8_t bytes = vmovn_s16(vcombine_s16(codes, codes));
    const std::int32_t four = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);
    __builtin_memcpy(p, &four, sizeof four);
  }
  static VLMFORGE_INLINE void store_rounded(std::int16_t* p, F x) {
    vst1_s16(p, vmovn_s32(vcvtnq_s32_f32(x)));
  }
  // Each element a of a pair as far apart becomes a + b, each b becomes a - b.
  template <std::int64_t distance>
  static VLMFORGE_INLINE F butterfly(F x) {
    if constexpr (distance == 1) {
      const float32x4_t other = vrev64q_f32(x);
      return vtrn1q_f32(vaddq_f32(x, other), vsubq_f32(x, other));
    } else {
      const float32x4_t other = vextq_f32(x, x, 2);
      return vcombine_f32(vget_low_f32(vaddq_f32(x, other)), vget_low_f32(vsubq_f32(x, other)));
    }
  }
  static VLMFORGE_INLINE F max(F x, F y) { return vmaxnmq_f32(x, y); }
  static VLMFORGE_INLINE F min(F x, F y) { return vminnmq_f32(x, y); }
  static VLMFORGE_INLINE F abs(F x) { return vabsq_f32(x); }
  static VLMFORGE_INLINE F copy_sign(F magnitude, F sign) {
    return vbslq_f32(vdupq_n_u32(0x80000000U), sign, magnitude);
  }
  static VLMFORGE_INLINE F where_less(F a, F b, F x, F y) {
    return vbslq_f32(vcltq_f32(a, b), x, y);
  }
  static VLMFORGE_INLINE F scaled(F x, F n) {
    const int32x4_t exponent = vshlq_n_s32(vcvtnq_s32_f32(n), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(x), exponent));
  }

  static VLMFORGE_INLINE std::int64_t sum(const std::int16_t* x, std::int64_t n) {
    int32x4_t sums = vdupq_n_s32(0);  // 4 sums of at most 65536 / 8 pairs: no overflow
    std::int64_t i = 0;
    for (; i + 8 <= n; i += 8) sums = vpadalq_s16(sums, vld1q_s16(x + i));
    return total(sums) + Scalar::sum(x + i, n - i);
  }
  static VLMFORGE_INLINE std::int64_t sum_of_squares(const std::int16_t* x, std::int64_t n) {
    int64x2_t sums = vdupq_n_s64(0);
    std::int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
      const int16x8_t values = vld1q_s16(x + i);
      sums = vpadalq_s32(sums, vmull_s16(vget_low_s16(values), vget_low_s16(values)));
      sums = vpadalq_s32(sums, vmull_high_s16(values, values));
    }
    return vaddvq_s64(sums) + Scalar::sum_of_squares(x + i, n - i);
  }
};

}  // namespace
}  // namespace vlmforge::kernels
