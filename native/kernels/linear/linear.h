// Products of integer activations with int8 and int4 weights (docs/numbers.md, "linear").
//
//   acc[m, n] = sum_k x[m, k] * W[n, k]                                 exact
//   acc[m, n] = sum_g group_scale[n, g] * sum_{k in g} x[m, k] * W[n, k]  exact, grouped int4
//   y[m, n]   = clamp(rint(f32(acc[m, n] + bias[n]) * multiplier[n]))     integer outputs
//   y[m, n]   = f32(acc[m, n] + bias[n]) * multiplier[n]                  float32 outputs
//   y[m, n]  += acc[m, n]                                                int32 outputs
//
// Every variant gives the same bits. A product takes two steps, both splittable over threads:
//
//   prepare   packs rows of x the way the variant reads them,
//   compute   multiplies packed rows with blocks of 16 output channels of a weight.
//
// Nothing here allocates, keeps state or throws; callers own all memory, and have checked the
// limits of docs/numbers.md: in_features <= 65536, finite multipliers, |bias| <= 2^52.
// Functions expect the default floating-point environment (round to nearest, subnormals kept).
#pragma once

#include <cstddef>
#include <cstdint>

namespace vlmforge::kernels {

inline constexpr std::int64_t kChannelsPerBlock = 16;
inline constexpr std::int64_t kMaxInFeatures = 65536;

enum class Element : std::uint8_t { int8, int16, int32, float32 };
enum class WeightKind : std::uint8_t { int8, int4 };

// Half-open range of rows or of blocks of output channels.
struct Range {
  std::int64_t first;
  std::int64_t last;
};

// A weight as it lies in the file. No alignment beyond that of the element type is needed;
// 64 bytes is fastest.
struct LinearWeight {
  // int8: int8 [N/16, ceil(K/4), 16, 4], codes in [-127, 127].
  // int4: uint8 [N/16, ceil(K/8), 16, 4]; byte [b, j, r, c] holds W[16b+r, 8j+c] + 8 in its low
  //       and W[16b+r, 8j+4+c] + 8 in its high nibble.
  const void* codes;
  WeightKind kind;
  // int8 [N/16, ceil(K/group), 16] in [-127, 127], or null; int4 only. group is 32, 64 or 128, and
  // 0 without.
  const std::int8_t* group_scale;
  std::int32_t group;
  const float* multiplier;    // [N]
  const std::int32_t* bias32;  // [N], or null; at most one of the two is set
  const std::int64_t* bias64;
  std::int64_t in_features;   // K
  std::int64_t out_features;  // N; the last block may be partial, and is stored whole
};

// Row-major activations [count, features], int8 in [-127, 127] or int16 in [-32767, 32767].
struct Rows {
  const void* data;
  Element element;
  std::int64_t count;
  std::int64_t features;
  std::int64_t stride;  // elements from one row to the next
};

// Rows in a variant's own order, written by its prepare.
struct PackedRows {
  const std::byte* data;
  Element element;
  std::int64_t count;
  std::int64_t features;
};

// Row-major results [M, N]: int8, int16 or float32, or int32, to which sums that fit are added.
struct Output {
  void* data;
  Element element;
  std::int64_t stride;  // elements from one row to the next
};

// One implementation. Row ranges start at a multiple of row_unit and end at one or at the last
// row; block ranges are arbitrary, but splits at multiples of block_unit are faster.
struct LinearVariant {
  const char* name;

  // Whether this processor and its operating system can run the variant.
  bool (*supported)();

  // Rows per packed panel when `count` rows of `element` are packed.
  std::int64_t (*row_unit)(Element element, std::int64_t count);
  std::int64_t block_unit;

  // Bytes of the packed form of x. Its memory must be aligned to 64 bytes.
  std::size_t (*packed_bytes)(Element element, std::int64_t count, std::int64_t features);

  // Bytes one call of compute needs for itself, aligned to 64 bytes; threads do not share it.
  std::size_t (*scratch_bytes)(const LinearWeight& weight);

  // Packs x's rows in `rows`. `packed` is the start of the whole packed form.
  void (*prepare)(const Rows& x, Range rows, std::byte* packed);

  // Writes y[rows, channels of blocks]. x.count and x.features are those of prepare, and
  // x.features is weight.in_features. Elements of y outside the ranges are left alone.
  void (*compute)(const PackedRows& x, const LinearWeight& weight, const Output& y, Range rows,
                  Range blocks, std::byte* scratch);
};

// Blocks of 16 output channels of a weight.
static inline std::int64_t linear_blocks(const LinearWeight& weight) {
  return (weight.out_features + kChannelsPerBlock - 1) / kChannelsPerBlock;
}

// Bytes of a weight's codes in the file.
static inline std::int64_t linear_code_bytes(const LinearWeight& weight) {
  const std::int64_t per_step = weight.kind == WeightKind::int8 ? 4 : 8;
  const std::int64_t steps = (weight.in_features + per_step - 1) / per_step;
  return linear_blocks(weight) * steps * 64;
}

// The variants built into this binary, fastest first; the last is "scalar", which runs anywhere.
// Their names begin with the instruction set. Sets count. Which run here is for `supported` to say.
const LinearVariant* const* linear_variants(std::size_t& count);

}  // namespace vlmforge::kernels
