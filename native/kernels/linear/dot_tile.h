// Products by instructions that add four 8-bit products to an int32 lane: AVX-512 VNNI, AVX-VNNI,
// NEON dot product.
//
// x86 multiplies u8 with s8. Activations are the unsigned operand: an int8 code x is packed as
// x + 128, an int16 code as two bytes, x = 256 * (high - 128) + low, which take the place of two
// rows. NEON multiplies s8 with s8: int8 codes are packed as they are, int16 ones as
// x = 256 * high + (low + 128). Weights are the signed operand, straight from the file; int4 codes
// read so are taken times 16, which saves instructions. Some rows thus carry an offset of +-128,
// whose excess, +-128 * sum(w) of a channel, is subtracted from them.
//
// Sums wrap around in int32 and are right all the same, as the true ones fit:
// |sum(u8 * w)| <= 255 * 127 * 65536 < 2^31, and less for 16 * int4.
//
// A panel is R packed rows: bytes [steps, R, 4]. A step is four columns. A tile is R rows times
// B blocks of 16 channels; its accumulators stay in registers over a segment of steps: all of K,
// or one group of a grouped weight.
//
// `V` names the instruction set's vectors; see avx512vnni.cc. Everything has internal linkage,
// because every variant compiles it with other flags.
#pragma once

#include "blocks.h"
#include "kernels/simd/inline.h"
#include "linear.h"

namespace vlmforge::kernels {
namespace {

// How far ahead a tile of so many blocks fetches the codes of each.
constexpr std::int64_t prefetch_bytes(int blocks) { return blocks == 1 ? 6144 : 4096; }

// Fetches codes that a tile of so many blocks reads later: one block's past the outer caches, which
// they would fill for nothing. Of several blocks another panel may read them again.
template <int blocks>
VLMFORGE_INLINE void prefetch(const std::uint8_t* codes) {
  __builtin_prefetch(codes, 0, blocks == 1 ? 0 : 3);
}

// Fetches codes that are staged later.
VLMFORGE_INLINE void prefetch_outer(const std::uint8_t* codes) { __builtin_prefetch(codes, 0, 2); }

struct Tile {
  const std::uint8_t* x;      // panel, at the first step
  const std::uint8_t* codes;  // first block, at the first step
  std::int64_t block_bytes;   // from one block's codes to the next block's
  std::int64_t steps;
  std::int64_t segment_steps;
  const std::int8_t* scale;   // of the first block at the first segment, or null
  std::int64_t scale_stride;  // from one block's scales to the next block's
  const std::int32_t* negative_excess;  // [segments, B, 16], of staged codes
  const std::uint8_t* prefetch;         // codes to come, one line every 2^prefetch_shift steps
  int prefetch_shift;                   // at least 1
  bool wide;            // rows are halves of int16 codes: high, low, high, ...
  std::int32_t* sums;   // [R, B, 16]
};

template <class V, int R, int B>
struct Accumulators {
  static constexpr int kWidth = B * V::kVectors;
  typename V::Vector rows[R][kWidth];

  // Adds one step: four columns of R rows times B blocks.
  void add(const std::uint8_t* x, const typename V::Vector (&w)[kWidth]) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const typename V::Vector columns = V::broadcast(x + 4 * r);
#pragma GCC unroll 16
      for (int v = 0; v < kWidth; ++v) rows[r][v] = V::dot(rows[r][v], columns, w[v]);
    }
  }

  void add(const Accumulators& other) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < kWidth; ++v) rows[r][v] = V::add(rows[r][v], other.rows[r][v]);
    }
  }

  void clear() {
    const typename V::Vector nothing[kWidth] = {};
    set(nothing, false);
  }

  // Sets every sum to 0, or to `start` in rows that carry the offset.
  void set(const typename V::Vector (&start)[kWidth], bool wide) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const bool plain = !V::has_offset(wide, r);
#pragma GCC unroll 16
      for (int v = 0; v < kWidth; ++v) rows[r][v] = plain ? V::zero() : start[v];
    }
  }

  // Subtracts the excess from rows that carry the offset, and divides by 2^shift.
  template <int shift>
  void correct(const typename V::Vector (&excess)[kWidth], bool wide) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const bool plain = !V::has_offset(wide, r);
#pragma GCC unroll 16
      for (int v = 0; v < kWidth; ++v) {
        if (!plain) rows[r][v] = V::subtract(rows[r][v], excess[v]);
        if constexpr (shift != 0) rows[r][v] = V::template shift_right<shift>(rows[r][v]);
      }
    }
  }

  // Ends a segment: adds the sums, scaled if grouped, to those of the tile, or sets them.
  void fold(const Tile& tile, bool first) const {
    if (tile.scale == nullptr) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
        for (int v = 0; v < kWidth; ++v) {
          V::store(tile.sums + (r * kWidth + v) * V::kLanes, rows[r][v]);
        }
      }
      return;
    }
    typename V::Vector scale[kWidth];
#pragma GCC unroll 16
    for (int v = 0; v < kWidth; ++v) {
      scale[v] = V::scales(tile.scale + v / V::kVectors * tile.scale_stride, v % V::kVectors);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < kWidth; ++v) {
        std::int32_t* target = tile.sums + (r * kWidth + v) * V::kLanes;
        const typename V::Vector sum = V::multiply(rows[r][v], scale[v]);
        V::store(target, first ? sum : V::add(sum, V::load(target)));
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
    w[v] = V::load(codes + step * kUnitBytes + v % V::kVectors * V::kBytes);
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
    const auto bytes = V::load(codes + pair * kUnitBytes + v % V::kVectors * V::kBytes);
    even[v] = V::low_times_16(bytes);
    odd[v] = V::high_times_16(bytes);
  }
}

// Steps in 64 bytes of a block.
constexpr int steps_of(WeightKind kind) { return kind == WeightKind::int8 ? 1 : 2; }

// Sums of R rows times B blocks as they lie in the file, and the excess of the blocks.
template <class V, int R, int B, WeightKind kind>
struct StreamSums {
  static constexpr int kWidth = B * V::kVectors;
  static constexpr int kSteps = steps_of(kind);
  Accumulators<V, R, B> sums;
  Accumulators<V, 1, B> excess;

  void clear() {
    sums.clear();
    excess.clear();
  }

  void add(const StreamSums& other) {
    sums.add(other.sums);
    excess.add(other.excess);
  }

  // Adds 64 bytes of every block; fetches codes ahead, past the end of the blocks those of the
  // next ones.
  VLMFORGE_INLINE void add(const Tile& tile, std::int64_t unit) {
    std::int64_t ahead = unit * kUnitBytes + prefetch_bytes(B);
    if (B > 1 && ahead >= tile.block_bytes) ahead += (B - 1) * tile.block_bytes;
#pragma GCC unroll 16
    for (int b = 0; b < B; ++b) prefetch<B>(tile.codes + b * tile.block_bytes + ahead);
    typename V::Vector w[kSteps][kWidth];
    if constexpr (kind == WeightKind::int8) {
      load_int8<V, B>(tile, unit, w[0]);
    } else {
      load_int4<V, B>(tile, unit, w[0], w[1]);
    }
    const std::uint8_t* x = tile.x + unit * kSteps * R * 4;
#pragma GCC unroll 16
    for (int i = 0; i < kSteps; ++i) {
      sums.add(x + i * R * 4, w[i]);
#pragma GCC unroll 16
      for (int v = 0; v < kWidth; ++v) {
        excess.rows[0][v] = V::dot(excess.rows[0][v], V::offset(), w[i][v]);
      }
    }
  }
};

// Units of 64 bytes that a streamed tile adds side by side. Several blocks, or many rows, have
// enough sums without.
template <class V>
constexpr int units_of(int rows, int blocks) {
  return blocks > 1 || rows > V::kFewRows ? 1 : rows == 1 ? V::kUnits : 2;
}

// Multiplies a panel with blocks as they lie in the file, and reads each code once. Units added
// side by side have sums of their own, so that none waits for the one before it.
template <class V, int R, int B, WeightKind kind>
void stream_tile(Tile tile) {
  constexpr int C = units_of<V>(R, B);
  constexpr int kSteps = steps_of(kind);
  for (std::int64_t start = 0; start < tile.steps; start += tile.segment_steps) {
    const std::int64_t last = smaller(start + tile.segment_steps, tile.steps) / kSteps;
    StreamSums<V, R, B, kind> sums[C];
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) sums[c].clear();
    std::int64_t unit = start / kSteps;
    for (; unit + C <= last; unit += C) {
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) sums[c].add(tile, unit + c);
    }
    for (; unit < last; ++unit) sums[0].add(tile, unit);
#pragma GCC unroll 16
    for (int c = 1; c < C; ++c) sums[0].add(sums[c]);
    constexpr int kShift = kind == WeightKind::int8 ? 0 : 4;
    sums[0].sums.template correct<kShift>(sums[0].excess.rows[0], tile.wide);
    sums[0].sums.fold(tile, start == 0);
    if (tile.scale != nullptr) tile.scale += kChannelsPerBlock;
  }
}

// Multiplies a panel with blocks of int8 codes whose negative excess is known, while the codes of
// the next tiles are fetched.
template <class V, int R, int B>
void staged_tile(Tile tile) {
  using Vector = typename V::Vector;
  constexpr int kWidth = B * V::kVectors;
  for (std::int64_t start = 0; start < tile.steps; start += tile.segment_steps) {
    const std::int64_t end = smaller(start + tile.segment_steps, tile.steps);
    Vector negative[kWidth];
#pragma GCC unroll 16
    for (int v = 0; v < kWidth; ++v) negative[v] = V::load(tile.negative_excess + v * V::kLanes);
    Accumulators<V, R, B> sums;
    sums.set(negative, tile.wide);
    const std::uint8_t* x = tile.x + start * R * 4;
    typename V::Vector w[kWidth];
    std::int64_t step = start;
    for (; step + 2 <= end; step += 2, x += 2 * R * 4) {
      load_int8<V, B>(tile, step, w);
      if ((step & ((std::int64_t{1} << tile.prefetch_shift) - 1)) == 0) {
        prefetch_outer(tile.prefetch + (step >> tile.prefetch_shift) * kUnitBytes);
      }
      sums.add(x, w);
      load_int8<V, B>(tile, step + 1, w);
      sums.add(x + R * 4, w);
    }
    if (step < end) {
      load_int8<V, B>(tile, step, w);
      sums.add(x, w);
    }
    sums.fold(tile, start == 0);
    tile.negative_excess += B * kChannelsPerBlock;
    if (tile.scale != nullptr) tile.scale += kChannelsPerBlock;
  }
}

}  // namespace
}  // namespace vlmforge::kernels
