// Runs tiles over panels and blocks: which codes are staged, which fetched, which rows wait.
#pragma once

#include <utility>

#include "dot_pack.h"
#include "dot_stage.h"
#include "dot_tile.h"
#include "finish.h"

namespace vlmforge::kernels {
namespace {

// Packed rows that are multiplied with one pair of blocks after the other stay in the L2 cache.
constexpr std::int64_t kCachedRowBytes = 1 << 20;

// Up to this many panels read the codes straight from the file; more have them staged.
constexpr std::int64_t kStreamedPanels = 2;

// Blocks up to this size are always side by side in a tile: one alone is at its end too soon, and
// models with blocks so short stay in the cache.
constexpr std::int64_t kShortBlockBytes = 4096;

// Columns whose grouped sums fit 32 bits: 128 * 8 * 127 * 16384 and 255 * 8 * 127 * 8192 < 2^31.
constexpr std::int64_t kGroupedColumns = 16384;
constexpr std::int64_t kWideGroupedColumns = 8192;

using TileFunction = void (*)(Tile);

// Blocks of streamed tiles that have more than one.
template <class V>
constexpr int stream_blocks(std::int64_t rows) {
  return rows <= V::kFewRows ? V::kMostBlocks : V::kStagedBlocks;
}

// Tiles of 1 to kPanelRows rows: with codes from the file, as many blocks as suit or one, ...
template <class V, WeightKind kind, int... r>
TileFunction stream_function(std::int64_t rows, bool one, std::integer_sequence<int, r...>) {
  static constexpr TileFunction many[] = {stream_tile<V, r + 1, stream_blocks<V>(r + 1), kind>...};
  static constexpr TileFunction single[] = {stream_tile<V, r + 1, 1, kind>...};
  return one ? single[rows - 1] : many[rows - 1];
}

// ... and with staged codes.
template <class V, int... r>
TileFunction staged_function(std::int64_t rows, bool one, std::integer_sequence<int, r...>) {
  static constexpr TileFunction many[] = {staged_tile<V, r + 1, V::kStagedBlocks>...};
  static constexpr TileFunction single[] = {staged_tile<V, r + 1, 1>...};
  return one ? single[rows - 1] : many[rows - 1];
}

// Where a tile lies, and how many steps of a block 64 bytes of its codes hold.
struct Place {
  std::int64_t panel;
  std::int64_t block;
  std::int64_t blocks;
  std::int64_t code_steps;
};

// How tiles of up to V::kFewRows rows, for which memory is what takes the time, read long blocks:
// one after the other, or several side by side. Which is fetched faster depends on the processor.
enum class Streams { one, several };

template <class V>
struct Product {
  static constexpr std::int64_t kMostSums = V::kPanelRows * V::kMostBlocks * kChannelsPerBlock;

  const PackedRows& x;
  const LinearWeight& weight;
  const Output& y;
  Panels<V> panels;
  std::int64_t steps;          // of a block in the file, times 2 for int4
  std::int64_t block_bytes;    // in the file
  std::int64_t segment_steps;
  std::int64_t segments;
  std::int64_t chunk_steps;    // steps summed in 32 bits
  bool one_by_one;             // blocks, of few rows

  Product(const PackedRows& x_, const LinearWeight& weight_, const Output& y_, Streams streams)
      : x(x_), weight(weight_), y(y_), panels(x_.element, x_.count, x_.features) {
    const bool int8 = weight.kind == WeightKind::int8;
    steps = int8 ? divide_up(weight.in_features, 4) : packed_steps(weight.in_features);
    block_bytes = int8 ? steps * kUnitBytes : steps / 2 * kUnitBytes;
    const bool grouped = weight.group_scale != nullptr;
    segment_steps = grouped ? weight.group / 4 : steps;
    segments = divide_up(steps, segment_steps);
    const std::int64_t columns = panels.parts == 2 ? kWideGroupedColumns : kGroupedColumns;
    chunk_steps = grouped ? columns / 4 : steps;
    one_by_one = streams == Streams::one && block_bytes > kShortBlockBytes;
  }

  const std::uint8_t* codes(std::int64_t block) const {
    return static_cast<const std::uint8_t*>(weight.codes) + block * block_bytes;
  }

  // What staging reads of the blocks from `block` on.
  StageSource source(std::int64_t block) const {
    return {codes(block), weight.kind, block_bytes, steps, segment_steps};
  }

  // A tile of a panel and the blocks from `block` on, over all steps, codes from the file.
  Tile tile(std::int64_t panel, std::int64_t block) const {
    Tile tile{};
    tile.x = reinterpret_cast<const std::uint8_t*>(x.data) + panels.offset(panel);
    tile.codes = codes(block);
    tile.block_bytes = block_bytes;
    tile.steps = steps;
    tile.segment_steps = segment_steps;
    if (weight.group_scale != nullptr) {
      tile.scale = weight.group_scale + block * segments * kChannelsPerBlock;
      tile.scale_stride = segments * kChannelsPerBlock;
    }
    tile.wide = panels.parts == 2;
    return tile;
  }

  // A tile's sums of one row of x and one block.
  Halves halves_of(const Tile& tile, const Place& place, std::int64_t row, std::int64_t b) const {
    const std::int64_t width = place.blocks * kChannelsPerBlock;
    const std::int32_t* high = tile.sums + row * panels.parts * width + b * kChannelsPerBlock;
    return {high, panels.parts == 2 ? high + width : nullptr};
  }

  // Runs a tile and writes its outputs.
  void run(Tile tile, TileFunction function, const Place& place) const {
    alignas(64) std::int32_t sums[kMostSums];
    tile.sums = sums;
    if (chunk_steps < steps) {
      run_chunks(tile, function, place);
      return;
    }
    function(tile);
    for (std::int64_t row = 0; row < panels.rows(place.panel); ++row) {
      for (std::int64_t b = 0; b < place.blocks; ++b) {
        V::finish(halves_of(tile, place, row, b), weight, y, place.panel * panels.unit + row,
                  place.block + b);
      }
    }
  }

  // The same for grouped sums that need more than 32 bits: chunks of K are added in 64 bits.
  void run_chunks(Tile tile, TileFunction function, const Place& place) const {
    std::int64_t totals[kMostSums] = {};
    const std::int64_t rows = panels.rows(place.panel);
    for (std::int64_t start = 0; start < steps; start += chunk_steps) {
      tile.steps = smaller(chunk_steps, steps - start);
      function(tile);
      add_chunk(tile, place, totals);
      tile.x += tile.steps * rows * panels.parts * 4;
      tile.codes += tile.steps / place.code_steps * kUnitBytes;
      tile.scale += tile.steps / segment_steps * kChannelsPerBlock;
      if (tile.negative_excess != nullptr) {
        tile.negative_excess += tile.steps / segment_steps * place.blocks * kChannelsPerBlock;
      }
    }
    for (std::int64_t i = 0; i < rows * place.blocks; ++i) {
      const std::int64_t* sums = totals + i * kChannelsPerBlock;
      V::finish(sums, weight, y, place.panel * panels.unit + i / place.blocks,
                place.block + i % place.blocks);
    }
  }

  // Adds a chunk's sums to totals [rows, blocks, 16].
  void add_chunk(const Tile& tile, const Place& place, std::int64_t* totals) const {
    for (std::int64_t i = 0; i < panels.rows(place.panel) * place.blocks; ++i) {
      const Halves sums = halves_of(tile, place, i / place.blocks, i % place.blocks);
      for (std::int64_t lane = 0; lane < kChannelsPerBlock; ++lane) {
        totals[i * kChannelsPerBlock + lane] += sums[lane];
      }
    }
  }

  std::int64_t packed_rows(std::int64_t panel) const { return panels.rows(panel) * panels.parts; }

  // Multiplies a panel with blocks from the file: as many at a time as a streamed tile has, or one.
  void stream(std::int64_t panel, Range blocks) const {
    const auto sizes = std::make_integer_sequence<int, V::kPanelRows>();
    const std::int64_t rows = packed_rows(panel);
    const bool int8 = weight.kind == WeightKind::int8;
    const int most = one_by_one && rows <= V::kFewRows ? 1 : stream_blocks<V>(rows);
    std::int64_t block = blocks.first;
    while (block < blocks.last) {
      const int count = block + most <= blocks.last ? most : 1;
      const TileFunction function =
          int8 ? stream_function<V, WeightKind::int8>(rows, count == 1, sizes)
               : stream_function<V, WeightKind::int4>(rows, count == 1, sizes);
      run(tile(panel, block), function, {panel, block, count, steps_of(weight.kind)});
      block += count;
    }
  }
};

// How often a staged tile fetches a line of 64 bytes, so that `tiles` of them fetch `lines`.
inline int prefetch_shift(std::int64_t tiles, std::int64_t steps, std::int64_t lines) {
  int shift = 1;
  while (tiles * (steps >> (shift + 1)) >= lines) ++shift;
  return shift;
}

// Multiplies panels with B blocks, while the next blocks are fetched.
template <class V, int B>
void run_staged(const Product<V>& product, Range panels, std::int64_t block, std::byte* scratch) {
  const Stage stage = stage_blocks<V, B>(product.source(block), scratch);
  const std::int64_t lines = B * product.block_bytes / kUnitBytes;
  const int shift = prefetch_shift(panels.last - panels.first, product.steps, lines);
  const std::uint8_t* next = product.codes(block + B);
  for (std::int64_t panel = panels.first; panel < panels.last; ++panel) {
    Tile tile = product.tile(panel, block);
    tile.codes = stage.codes;
    tile.block_bytes = stage.block_bytes;
    tile.negative_excess = stage.negative_excess;
    tile.prefetch = next;
    tile.prefetch_shift = shift;
    next += (product.steps >> shift) * kUnitBytes;
    const auto sizes = std::make_integer_sequence<int, V::kPanelRows>();
    const std::int64_t rows = product.packed_rows(panel);
    product.run(tile, staged_function<V>(rows, B == 1, sizes), {panel, block, B, 1});
  }
}

template <class V>
std::size_t scratch_bytes(const LinearWeight& weight) {
  const std::int64_t segments =
      weight.group_scale == nullptr ? 1 : divide_up(weight.in_features, weight.group);
  return stage_bytes<V>(weight.kind, packed_steps(weight.in_features), segments);
}

// Few rows: every block is read once, from the file.
template <class V>
void compute_streamed(const Product<V>& product, Range panels, Range blocks) {
  for (std::int64_t block = blocks.first; block < blocks.last; block += V::kMostBlocks) {
    const Range some{block, smaller(block + V::kMostBlocks, blocks.last)};
    for (std::int64_t panel = panels.first; panel < panels.last; ++panel) {
      product.stream(panel, some);
    }
  }
}

// Many rows: as many as stay in the cache meet all blocks, a few staged blocks at a time.
template <class V>
void compute_staged(const Product<V>& product, Range panels, Range blocks, std::byte* scratch) {
  const std::int64_t cached = kCachedRowBytes / product.panels.offset(1) + 1;
  for (std::int64_t first = panels.first; first < panels.last; first += cached) {
    const Range some{first, smaller(first + cached, panels.last)};
    std::int64_t block = blocks.first;
    for (; block + V::kStagedBlocks <= blocks.last; block += V::kStagedBlocks) {
      run_staged<V, V::kStagedBlocks>(product, some, block, scratch);
    }
    for (; block < blocks.last; ++block) run_staged<V, 1>(product, some, block, scratch);
  }
}

template <class V, Streams streams>
void compute(const PackedRows& x, const LinearWeight& weight, const Output& y, Range rows,
             Range blocks, std::byte* scratch) {
  if (rows.first >= rows.last) return;
  const Product<V> product(x, weight, y, streams);
  const Range panels{rows.first / product.panels.unit, divide_up(rows.last, product.panels.unit)};
  if (panels.last - panels.first <= kStreamedPanels) {
    compute_streamed(product, panels, blocks);
  } else {
    compute_staged(product, panels, blocks, scratch);
  }
}

}  // namespace
}  // namespace vlmforge::kernels
