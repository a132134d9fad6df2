// Portable products: the obvious loops, exact by construction. Packed rows are copied rows.
#include <cstring>

#include "finish.h"
#include "linear.h"

namespace vlmforge::kernels {
namespace {

// Products of int16 and int8 codes whose sum fits 32 bits: 32767 * 127 * 512 < 2^31.
constexpr std::int64_t kSegment = 512;

template <typename Code>
struct Reader {
  const Code* x;
  const LinearWeight& weight;

  // Weight code of column k in a block that starts at `block_codes`.
  template <WeightKind kind>
  static int code(const std::uint8_t* block_codes, std::int64_t k, std::int64_t lane) {
    if constexpr (kind == WeightKind::int8) {
      return static_cast<std::int8_t>(block_codes[k / 4 * 64 + lane * 4 + k % 4]);
    } else {
      const int byte = block_codes[k / 8 * 64 + lane * 4 + k % 4];
      return (k % 8 < 4 ? byte & 15 : byte >> 4) - 8;
    }
  }

  // Adds the products of columns [first, last) to 16 sums.
  template <WeightKind kind>
  void add(const std::uint8_t* block_codes, std::int64_t first, std::int64_t last,
           std::int32_t* sums) const {
    for (std::int64_t k = first; k < last; ++k) {
      for (std::int64_t lane = 0; lane < kChannelsPerBlock; ++lane) {
        sums[lane] += x[k] * code<kind>(block_codes, k, lane);
      }
    }
  }
};

template <typename Code, WeightKind kind>
void row_times_block(const Code* x, const LinearWeight& weight, std::int64_t block,
                     std::int64_t* totals) {
  const Reader<Code> reader{x, weight};
  const std::int64_t block_bytes = linear_code_bytes(weight) / linear_blocks(weight);
  const auto* codes = static_cast<const std::uint8_t*>(weight.codes) + block * block_bytes;
  const std::int64_t segment = weight.group_scale != nullptr ? weight.group : kSegment;
  const std::int64_t segments = (weight.in_features + segment - 1) / segment;
  for (std::int64_t index = 0; index < segments; ++index) {
    const std::int64_t first = index * segment;
    const std::int64_t end = first + segment;
    std::int32_t sums[kChannelsPerBlock] = {};
    reader.template add<kind>(codes, first, end < weight.in_features ? end : weight.in_features,
                              sums);
    for (std::int64_t lane = 0; lane < kChannelsPerBlock; ++lane) {
      std::int64_t scale = 1;
      if (weight.group_scale != nullptr) {
        scale = weight.group_scale[(block * segments + index) * kChannelsPerBlock + lane];
      }
      totals[lane] += scale * sums[lane];
    }
  }
}

template <typename Code>
void multiply(const PackedRows& x, const LinearWeight& weight, const Output& y, Range rows,
              Range blocks) {
  const auto* codes = reinterpret_cast<const Code*>(x.data);
  for (std::int64_t block = blocks.first; block < blocks.last; ++block) {
    for (std::int64_t row = rows.first; row < rows.last; ++row) {
      std::int64_t totals[kChannelsPerBlock] = {};
      const Code* x_row = codes + row * x.features;
      if (weight.kind == WeightKind::int8) {
        row_times_block<Code, WeightKind::int8>(x_row, weight, block, totals);
      } else {
        row_times_block<Code, WeightKind::int4>(x_row, weight, block, totals);
      }
      finish(totals, weight, y, row, block);
    }
  }
}

bool supported() { return true; }

std::int64_t row_unit(Element, std::int64_t) { return 1; }

std::size_t code_bytes(Element element) { return element == Element::int8 ? 1 : 2; }

std::size_t packed_bytes(Element element, std::int64_t count, std::int64_t features) {
  return static_cast<std::size_t>(count * features) * code_bytes(element);
}

std::size_t scratch_bytes(const LinearWeight&) { return 0; }

void prepare(const Rows& x, Range rows, std::byte* packed) {
  const std::size_t size = code_bytes(x.element);
  const std::size_t row_bytes = static_cast<std::size_t>(x.features) * size;
  const auto* data = static_cast<const std::byte*>(x.data);
  for (std::int64_t row = rows.first; row < rows.last; ++row) {
    const std::size_t start = static_cast<std::size_t>(row * x.stride) * size;
    std::memcpy(packed + static_cast<std::size_t>(row) * row_bytes, data + start, row_bytes);
  }
}

void compute(const PackedRows& x, const LinearWeight& weight, const Output& y, Range rows,
             Range blocks, std::byte*) {
  if (x.element == Element::int8) {
    multiply<std::int8_t>(x, weight, y, rows, blocks);
  } else {
    multiply<std::int16_t>(x, weight, y, rows, blocks);
  }
}

}  // namespace

extern const LinearVariant linear_scalar;
const LinearVariant linear_scalar{"scalar",      supported,     row_unit, 1,
                                  packed_bytes,  scratch_bytes, prepare,  compute};

}  // namespace vlmforge::kernels
