// Products with the NEON dot product: four vectors hold one step of 16 channels, four columns each.
#include <arm_neon.h>

#include "cpu.h"
#include "dot_product.h"

namespace vlmforge::kernels {
namespace {

struct NeonDot {
  using Vector = int32x4_t;
  static constexpr int kVectors = 4;  // of 16 channels
  static constexpr int kLanes = 4;
  static constexpr int kBytes = 16;
  static constexpr bool kSignedRows = true;
  static constexpr int kPanelRows = 6;
  static constexpr int kStagedBlocks = 1;  // 24 accumulators of 32 registers
  static constexpr int kMostBlocks = 2;    // of streamed tiles of up to kFewRows rows
  static constexpr int kFewRows = 2;
  static constexpr int kUnits = 2;  // side by side, of one row times one block

  static bool has_offset(bool wide, int row) { return wide && row % 2 == 1; }

  static Vector zero() { return vdupq_n_s32(0); }
  static Vector load(const void* from) {
    return vreinterpretq_s32_u8(vld1q_u8(static_cast<const std::uint8_t*>(from)));
  }
  static void store(void* to, Vector value) {
    vst1q_u8(static_cast<std::uint8_t*>(to), vreinterpretq_u8_s32(value));
  }
  static Vector offset() { return vreinterpretq_s32_u8(vdupq_n_u8(0x80)); }  // -128 as s8
  static Vector dot(Vector sum, Vector row, Vector codes) {
    return vdotq_s32(sum, vreinterpretq_s8_s32(row), vreinterpretq_s8_s32(codes));
  }
  static Vector add(Vector a, Vector b) { return vaddq_s32(a, b); }
  static Vector subtract(Vector a, Vector b) { return vsubq_s32(a, b); }
  static Vector multiply(Vector a, Vector b) { return vmulq_s32(a, b); }

  static Vector broadcast(const std::uint8_t* four) {
    std::int32_t bytes;
    std::memcpy(&bytes, four, 4);
    return vdupq_n_s32(bytes);
  }

  template <int bits>
  static Vector shift_right(Vector a) {
    return vshrq_n_s32(a, bits);
  }

  static Vector scales(const std::int8_t* of_block, int part) {
    std::uint32_t four;
    std::memcpy(&four, of_block + part * kLanes, 4);
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four)));
    return vmovl_s16(vget_low_s16(wide));
  }

  // A stored nibble, code + 8, becomes the code times 16: its highest bit is turned.
  static Vector high_times_16(Vector bytes) {
    const uint8x16_t nibbles = vandq_u8(vreinterpretq_u8_s32(bytes), vdupq_n_u8(0xF0));
    return vreinterpretq_s32_u8(veorq_u8(nibbles, vdupq_n_u8(0x80)));
  }
  static Vector low_times_16(Vector bytes) {
    const uint8x16_t nibbles = vshlq_n_u8(vreinterpretq_u8_s32(bytes), 4);
    return vreinterpretq_s32_u8(veorq_u8(nibbles, vdupq_n_u8(0x80)));
  }

  static Vector low_codes(Vector bytes) {
    const uint8x16_t nibbles = vandq_u8(vreinterpretq_u8_s32(bytes), vdupq_n_u8(15));
    return vreinterpretq_s32_u8(vsubq_u8(nibbles, vdupq_n_u8(8)));
  }
  static Vector high_codes(Vector bytes) {
    const uint8x16_t nibbles = vshrq_n_u8(vreinterpretq_u8_s32(bytes), 4);
    return vreinterpretq_s32_u8(vsubq_u8(nibbles, vdupq_n_u8(8)));
  }

  template <class Sums>
  static void finish(const Sums& sums, const LinearWeight& weight, const Output& y,
                     std::int64_t row, std::int64_t block) {
    kernels::finish(sums, weight, y, row, block);
  }
};

}  // namespace

extern const LinearVariant linear_neon;
const LinearVariant linear_neon{"neon_dotprod",
                                cpu_has_neon_dotprod,
                                row_unit<NeonDot>,
                                NeonDot::kMostBlocks,
                                packed_bytes<NeonDot>,
                                scratch_bytes<NeonDot>,
                                prepare<NeonDot>,
                                compute<NeonDot, Streams::several>};

}  // namespace vlmforge::kernels
