// Products by instructions that add four u8 x s8 products to an int32 (AVX-512 VNNI, AVX-VNNI).
//
// Activations are the unsigned operand. An int8 code x is packed as x + 128; an int16 code as two
// bytes, x = 256 * (high - 128) + low, which take the place of two rows. Weights are the signed
// operand, straight from the file; int4 codes are taken times 16, which saves an instruction. The
// excess, 128 * sum(w) of a channel, is subtracted from rows that carry the offset.
//
// Sums wrap around in int32 and are right all the same, as the true ones fit:
// |sum(u8 * w)| <= 255 * 127 * 65536 < 2^31.
//
// A panel is R packed rows: u8 [steps, R, 4]. A step is four columns. A tile is R rows times
// B blocks of 16 channels; its accumulators stay in registers over a segment of steps: all of K,
// or one group of a grouped weight.
//
// `V` names the instruction set's vectors; see avx512vnni.cc. Everything has internal linkage,
// because every variant compiles it with other flags.
#pragma once

#include <cstring>

#include "finish.h"
#include "linear.h"

namespace vlmforge::kernels {
namespace {

constexpr std::int64_t kStepBytes = 64;  // of one block of int8 codes
constexpr std::int64_t kPrefetchBytes = 4096;

inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
inline std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Steps of a packed row: K padded to a multiple of 8, as int4 weights are.
inline std::int64_t packed_steps(std::int64_t features) { return divide_up(features, 8) * 2; }

struct Tile {
  const std::uint8_t* x;      // panel, at the first step
  const std::uint8_t* codes;  // first block, at the first step
  std::int64_t block_bytes;   // from one block's codes to the next block's
  std::int64_t steps;
  std::int64_t segment_steps;
  const std::uint8_t* scale;  // of the first block at the first segment, or null
  std::int64_t scale_stride;  // from one block's scales to the next block's
  const std::int32_t* excess;  // [segments, B, 16] if known beforehand
  const std::uint8_t* prefetch;  // next weights to come, one line every second step
  int shift;                   // 4 if codes are times 16
  bool wide;                   // rows are halves of int16 codes: odd ones carry no offset
  std::int32_t* sums;          // [R, B, 16]
};

template <class V, int R, int B>
struct Accumulators {
  static constexpr int kWidth = B * V::kVectors;
  typename V::Vector rows[R][kWidth];
  typename V::Vector excess[kWidth];

  void clear() {
#pragma GCC unroll 16
    for (int v = 0; v < kWidth; ++v) {
      excess[v] = V::zero();
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) rows[r][v] = V::zero();
    }
  }

  // Adds one step: four columns of R rows times B blocks.
  template <bool with_excess>
  void add(const std::uint8_t* x, const typename V::Vector (&w)[kWidth]) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const typename V::Vector columns = V::broadcast(x + 4 * r);
#pragma GCC unroll 16
      for (int v = 0; v < kWidth; ++v) rows[r][v] = V::dot(rows[r][v], columns, w[v]);
    }
    if constexpr (with_excess) {
#pragma GCC unroll 16
      for (int v = 0; v < kWidth; ++v) excess[v] = V::dot(excess[v], V::offset(), w[v]);
    }
  }

  // Ends a segment: takes the excess off, scales, and adds to (or sets) the tile's sums.
  void fold(const Tile& tile, bool first) const {
    typename V::Vector scale[kWidth];
    if (tile.scale != nullptr) {
#pragma GCC unroll 16
      for (int v = 0; v < kWidth; ++v) {
        scale[v] = V::scales(tile.scale + v / V::kVectors * tile.scale_stride, v % V::kVectors);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < kWidth; ++v) {
        typename V::Vector sum = rows[r][v];
        if (!(tile.wide && r % 2 == 1)) sum = V::subtract(sum, excess[v]);
        sum = V::shift_right(sum, tile.shift);
        std::int32_t* target = tile.sums + (r * kWidth + v) * V::kLanes;
        if (tile.scale != nullptr) sum = V::multiply(sum, scale[v]);
        if (!first) sum = V::add(sum, V::load(target));
        V::store(target, sum);
      }
    }
  }
};

// Weights of B blocks as int8, one step at a time.
template <class V, int B>
inline void load_int8(const Tile& tile, std::int64_t step,
                      typename V::Vector (&w)[B * V::kVectors]) {
#pragma GCC unroll 16
  for (int v = 0; v < B * V::kVectors; ++v) {
    const std::uint8_t* codes = tile.codes + v / V::kVectors * tile.block_bytes;
    w[v] = V::load(codes + step * kStepBytes + v % V::kVectors * V::kBytes);
  }
}

// Weights of B blocks as int4 times 16, two steps at a time: even and odd.
template <class V, int B>
inline void load_int4(const Tile& tile, std::int64_t pair,
                      typename V::Vector (&even)[B * V::kVectors],
                      typename V::Vector (&odd)[B * V::kVectors]) {
#pragma GCC unroll 16
  for (int v = 0; v < B * V::kVectors; ++v) {
    const std::uint8_t* codes = tile.codes + v / V::kVectors * tile.block_bytes;
    const auto bytes = V::load(codes + pair * kStepBytes + v % V::kVectors * V::kBytes);
    even[v] = V::low_nibbles(bytes);
    odd[v] = V::high_nibbles(bytes);
  }
}

// Multiplies a panel with blocks as they lie in the file. Reads each code once and fetches codes
// ahead, past the end of the block, where the next one begins.
template <class V, int R, int B, WeightKind kind>
void stream_tile(Tile tile) {
  constexpr int kWidth = B * V::kVectors;
  constexpr std::int64_t kSteps = kind == WeightKind::int8 ? 1 : 2;  // per 64 bytes of a block
  for (std::int64_t start = 0; start < tile.steps; start += tile.segment_steps) {
    const std::int64_t end = smaller(start + tile.segment_steps, tile.steps);
    Accumulators<V, R, B> sums;
    sums.clear();
    for (std::int64_t unit = start / kSteps; unit < divide_up(end, kSteps); ++unit) {
#pragma GCC unroll 16
      for (int b = 0; b < B; ++b) {
        V::prefetch(tile.codes + b * tile.block_bytes + unit * kStepBytes + kPrefetchBytes);
      }
      typename V::Vector w[kWidth];
      if constexpr (kind == WeightKind::int8) {
        load_int8<V, B>(tile, unit, w);
        sums.template add<true>(tile.x + unit * R * 4, w);
      } else {
        typename V::Vector odd[kWidth];
        load_int4<V, B>(tile, unit, w, odd);
        sums.template add<true>(tile.x + unit * R * 8, w);
        sums.template add<true>(tile.x + unit * R * 8 + R * 4, odd);
      }
    }
    sums.fold(tile, start == 0);
    if (tile.scale != nullptr) tile.scale += kChannelsPerBlock;
  }
}

// Multiplies a panel with blocks of int8 codes (or codes times 16) whose excess is known, while
// the codes of the next tiles are fetched.
template <class V, int R, int B>
void staged_tile(Tile tile) {
  constexpr int kWidth = B * V::kVectors;
  for (std::int64_t start = 0; start < tile.steps; start += tile.segment_steps) {
    const std::int64_t end = smaller(start + tile.segment_steps, tile.steps);
    Accumulators<V, R, B> sums;
    sums.clear();
    const std::uint8_t* x = tile.x + start * R * 4;
    for (std::int64_t step = start; step < end; ++step, x += R * 4) {
      typename V::Vector w[kWidth];
      load_int8<V, B>(tile, step, w);
      if (step % 2 == 0) V::prefetch_l2(tile.prefetch + step * (kStepBytes / 2));
      sums.template add<false>(x, w);
    }
#pragma GCC unroll 16
    for (int v = 0; v < kWidth; ++v) sums.excess[v] = V::load(tile.excess + v * V::kLanes);
    sums.fold(tile, start == 0);
    tile.excess += B * kChannelsPerBlock;
    if (tile.scale != nullptr) tile.scale += kChannelsPerBlock;
  }
}

}  // namespace
}  // namespace vlmforge::kernels
