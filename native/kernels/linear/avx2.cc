// Products with AVX2: weights and activations widened to int16, pairs of products added to int32.
//
// A packed panel of R rows is int16 [steps, R, 4], a step being four columns. One vector holds
// 4 channels x 4 columns; its sums are 4 channels x 2, added at the end of a segment, which is
// short enough for 32 bits: 32767 * 127 * 512 < 2^31. Totals are 64 bits wide.
#include <immintrin.h>

#include <cstring>

#include "avx2_finish.h"
#include "blocks.h"
#include "cpu.h"
#include "linear.h"

namespace vlmforge::kernels {
namespace {

constexpr int kPanelRows = 3;  // 12 accumulators of 16 registers
constexpr int kVectors = 4;    // of 16 channels
constexpr std::int64_t kWideSegmentSteps = 128;
constexpr std::int64_t kCachedRowBytes = 1 << 19;
constexpr std::int64_t kPrefetchBytes = 2048;

std::int64_t panel_bytes(std::int64_t features) {
  return packed_steps(features) * kPanelRows * 8;
}

// Four int8 weights of 4 channels as int16.
__m256i load_int8(const std::uint8_t* codes) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
}

struct Steps {
  __m256i even, odd;
};

// The same of int4 weights, for two steps.
Steps load_int4(const std::uint8_t* codes) {
  const __m256i bytes =
      _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
  const __m256i eight = _mm256_set1_epi16(8);
  const __m256i low = _mm256_and_si256(bytes, _mm256_set1_epi16(15));
  return {_mm256_sub_epi16(low, eight), _mm256_sub_epi16(_mm256_srli_epi16(bytes, 4), eight)};
}

template <int R>
struct Sums {
  __m256i rows[R][kVectors];

  // Adds one step of one vector of weights.
  void add(const std::int16_t* x, int vector, __m256i weights) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      std::int64_t columns;
      std::memcpy(&columns, x + 4 * r, sizeof columns);
      const __m256i products = _mm256_madd_epi16(_mm256_set1_epi64x(columns), weights);
      rows[r][vector] = _mm256_add_epi32(rows[r][vector], products);
    }
  }

  // Adds a segment's sums, scaled if grouped, to the totals [R, 16].
  void fold(const std::int8_t* scale, std::int64_t* totals) const {
    for (int r = 0; r < R; ++r) {
      std::int32_t sums[kChannelsPerBlock];
      for (int half = 0; half < 2; ++half) {
        const __m256i both = _mm256_hadd_epi32(rows[r][2 * half], rows[r][2 * half + 1]);
        auto* target = reinterpret_cast<__m256i*>(sums + 8 * half);
        _mm256_storeu_si256(target, _mm256_permute4x64_epi64(both, 0xD8));
      }
      std::int64_t* total = totals + r * kChannelsPerBlock;
      for (int lane = 0; lane < kChannelsPerBlock; ++lane) {
        total[lane] += std::int64_t{sums[lane]} * (scale != nullptr ? scale[lane] : 1);
      }
    }
  }
};

// Adds the products of R rows and one block over steps [first, last) to the totals.
template <int R, WeightKind kind>
void multiply_segment(const std::int16_t* x, const std::uint8_t* codes, Range steps,
                      const std::int8_t* scale, std::int64_t* totals) {
  Sums<R> sums{};
  if constexpr (kind == WeightKind::int8) {
    for (std::int64_t step = steps.first; step < steps.last; ++step) {
      const std::uint8_t* from = codes + step * kUnitBytes;
      _mm_prefetch(reinterpret_cast<const char*>(from + kPrefetchBytes), _MM_HINT_T0);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        sums.add(x + step * R * 4, v, load_int8(from + 16 * v));
      }
    }
  } else {
    for (std::int64_t step = steps.first; step < steps.last; step += 2) {
      const std::uint8_t* from = codes + step / 2 * kUnitBytes;
      _mm_prefetch(reinterpret_cast<const char*>(from + kPrefetchBytes), _MM_HINT_T0);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const Steps weights = load_int4(from + 16 * v);
        sums.add(x + step * R * 4, v, weights.even);
        sums.add(x + (step + 1) * R * 4, v, weights.odd);
      }
    }
  }
  sums.fold(scale, totals);
}

using SegmentFunction = void (*)(const std::int16_t*, const std::uint8_t*, Range,
                                 const std::int8_t*, std::int64_t*);

SegmentFunction segment_function(WeightKind kind, std::int64_t rows) {
  static constexpr SegmentFunction int8[] = {multiply_segment<1, WeightKind::int8>,
                                             multiply_segment<2, WeightKind::int8>,
                                             multiply_segment<3, WeightKind::int8>};
  static constexpr SegmentFunction int4[] = {multiply_segment<1, WeightKind::int4>,
                                             multiply_segment<2, WeightKind::int4>,
                                             multiply_segment<3, WeightKind::int4>};
  return kind == WeightKind::int8 ? int8[rows - 1] : int4[rows - 1];
}

std::int64_t segment_steps(const PackedRows& x, const LinearWeight& weight) {
  if (weight.group_scale != nullptr) return weight.group / 4;
  return x.element == Element::int8 ? packed_steps(weight.in_features) : kWideSegmentSteps;
}

void multiply_panel(const PackedRows& x, const LinearWeight& weight, const Output& y,
                    std::int64_t panel, std::int64_t block) {
  const std::int64_t rows = smaller(kPanelRows, x.count - panel * kPanelRows);
  const auto* packed = reinterpret_cast<const std::int16_t*>(
      x.data + static_cast<std::size_t>(panel * panel_bytes(x.features)));
  const bool int8 = weight.kind == WeightKind::int8;
  const std::int64_t steps =
      int8 ? divide_up(weight.in_features, 4) : packed_steps(weight.in_features);
  const std::int64_t block_bytes = steps * (int8 ? kUnitBytes : kUnitBytes / 2);
  const auto* codes = static_cast<const std::uint8_t*>(weight.codes) + block * block_bytes;
  const std::int64_t segment = segment_steps(x, weight);
  const std::int8_t* scale = weight.group_scale;
  if (scale != nullptr) scale += block * divide_up(steps, segment) * kChannelsPerBlock;
  const SegmentFunction function = segment_function(weight.kind, rows);
  std::int64_t totals[kPanelRows * kChannelsPerBlock] = {};
  for (std::int64_t first = 0; first < steps; first += segment) {
    function(packed, codes, {first, smaller(first + segment, steps)}, scale, totals);
    if (scale != nullptr) scale += kChannelsPerBlock;
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t* sums = totals + row * kChannelsPerBlock;
    finish_avx2(sums, weight, y, panel * kPanelRows + row, block);
  }
}

template <typename Code>
void pack_rows(const Rows& x, Range rows, std::byte* packed) {
  const std::int64_t steps = packed_steps(x.features);
  for (std::int64_t row = rows.first; row < rows.last; ++row) {
    const std::int64_t panel = row / kPanelRows;
    const std::int64_t width = 4 * smaller(kPanelRows, x.count - panel * kPanelRows);
    const Code* from = static_cast<const Code*>(x.data) + row * x.stride;
    auto* to = reinterpret_cast<std::int16_t*>(
        packed + static_cast<std::size_t>(panel * panel_bytes(x.features)));
    to += row % kPanelRows * 4;
    for (std::int64_t k = 0; k < steps * 4; ++k) {
      to[k / 4 * width + k % 4] = k < x.features ? from[k] : Code{0};
    }
  }
}

std::int64_t row_unit(Element, std::int64_t) { return kPanelRows; }

std::size_t packed_bytes(Element, std::int64_t count, std::int64_t features) {
  return static_cast<std::size_t>(count * packed_steps(features) * 8);
}

std::size_t scratch_bytes(const LinearWeight&) { return 0; }

void prepare(const Rows& x, Range rows, std::byte* packed) {
  if (x.element == Element::int8) {
    pack_rows<std::int8_t>(x, rows, packed);
  } else {
    pack_rows<std::int16_t>(x, rows, packed);
  }
}

// As many rows as stay in the cache meet all blocks, one block after the other.
void compute(const PackedRows& x, const LinearWeight& weight, const Output& y, Range rows,
             Range blocks, std::byte*) {
  const Range panels{rows.first / kPanelRows, divide_up(rows.last, kPanelRows)};
  const std::int64_t cached = kCachedRowBytes / panel_bytes(x.features) + 1;
  for (std::int64_t first = panels.first; first < panels.last; first += cached) {
    const std::int64_t last = smaller(first + cached, panels.last);
    for (std::int64_t block = blocks.first; block < blocks.last; ++block) {
      for (std::int64_t panel = first; panel < last; ++panel) {
        multiply_panel(x, weight, y, panel, block);
      }
    }
  }
}

}  // namespace

extern const LinearVariant linear_avx2;
const LinearVariant linear_avx2{"avx2",       cpu_has_avx2,  row_unit, 1,
                                packed_bytes, scratch_bytes, prepare,  compute};

}  // namespace vlmforge::kernels
