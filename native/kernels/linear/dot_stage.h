// Stages blocks for tiles that meet many panels: excess summed once, int4 codes expanded once.
#pragma once

#include "dot_tile.h"

namespace vlmforge::kernels {
namespace {

// Blocks of a weight in the file.
struct StageSource {
  const std::uint8_t* codes;  // of the first block
  WeightKind kind;
  std::int64_t block_bytes;
  std::int64_t steps;
  std::int64_t segment_steps;
};

// Codes of B blocks as int8, and their negative excess [segments, B, 16].
struct Stage {
  const std::uint8_t* codes;
  std::int64_t block_bytes;
  const std::int32_t* negative_excess;
};

// Bytes a stage needs.
template <class V>
std::size_t stage_bytes(WeightKind kind, std::int64_t steps, std::int64_t segments) {
  const std::int64_t expanded = kind == WeightKind::int4 ? steps * kUnitBytes : 0;
  return static_cast<std::size_t>(V::kStagedBlocks * (expanded + segments * kChannelsPerBlock * 4));
}

// Writes the negative excess of `steps` steps of one block of int8 codes.
template <class V>
void sum_codes(const std::uint8_t* codes, std::int64_t steps, std::int32_t* negative_excess) {
  typename V::Vector even[V::kVectors];
  typename V::Vector odd[V::kVectors];
  for (int v = 0; v < V::kVectors; ++v) even[v] = odd[v] = V::zero();
  std::int64_t step = 0;
  for (; step + 2 <= steps; step += 2) {
    const std::uint8_t* from = codes + step * kUnitBytes;
#pragma GCC unroll 4
    for (int v = 0; v < V::kVectors; ++v) {
      even[v] = V::dot(even[v], V::offset(), V::load(from + v * V::kBytes));
      odd[v] = V::dot(odd[v], V::offset(), V::load(from + kUnitBytes + v * V::kBytes));
    }
  }
  for (int v = 0; v < V::kVectors; ++v) {
    if (step < steps) {
      const auto last = V::load(codes + step * kUnitBytes + v * V::kBytes);
      even[v] = V::dot(even[v], V::offset(), last);
    }
    V::store(negative_excess + v * V::kLanes, V::subtract(V::zero(), V::add(even[v], odd[v])));
  }
}

// Expands `steps` steps, an even number, of one block's int4 codes to int8.
template <class V>
void expand_codes(const std::uint8_t* codes, std::int64_t steps, std::uint8_t* expanded) {
  for (std::int64_t pair = 0; pair < steps / 2; ++pair) {
    const std::uint8_t* from = codes + pair * kUnitBytes;
    std::uint8_t* to = expanded + pair * 2 * kUnitBytes;
#pragma GCC unroll 4
    for (int v = 0; v < V::kVectors; ++v) {
      const auto bytes = V::load(from + v * V::kBytes);
      V::store(to + v * V::kBytes, V::low_codes(bytes));
      V::store(to + kUnitBytes + v * V::kBytes, V::high_codes(bytes));
    }
  }
}

// Stages B blocks in `scratch`. int8 codes stay where they are.
template <class V, int B>
Stage stage_blocks(const StageSource& source, std::byte* scratch) {
  const std::int64_t segments = divide_up(source.steps, source.segment_steps);
  auto* excess = reinterpret_cast<std::int32_t*>(scratch);
  auto* expanded = reinterpret_cast<std::uint8_t*>(excess + segments * B * kChannelsPerBlock);
  Stage stage{source.codes, source.block_bytes, excess};
  if (source.kind == WeightKind::int4) {
    stage.codes = expanded;
    stage.block_bytes = source.steps * kUnitBytes;
  }
  for (int b = 0; b < B; ++b) {
    for (std::int64_t segment = 0; segment < segments; ++segment) {
      const std::int64_t first = segment * source.segment_steps;
      const std::int64_t steps = smaller(source.segment_steps, source.steps - first);
      const std::int64_t at = b * stage.block_bytes + first * kUnitBytes;
      if (source.kind == WeightKind::int4) {
        const std::uint8_t* codes = source.codes + b * source.block_bytes;
        expand_codes<V>(codes + first / 2 * kUnitBytes, steps, expanded + at);
      }
      sum_codes<V>(stage.codes + at, steps, excess + (segment * B + b) * kChannelsPerBlock);
    }
  }
  return stage;
}

}  // namespace
}  // namespace vlmforge::kernels
