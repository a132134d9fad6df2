// Packs rows into the panels of dot_tile.h.
#pragma once

#include <cstring>

#include "blocks.h"
#include "linear.h"

namespace vlmforge::kernels {
namespace {

// Steps packed before the next row's turn: few enough to stay in the L1 cache.
constexpr std::int64_t kPackedSteps = 128;

// Packed rows a row of x becomes.
inline int halves(Element element) { return element == Element::int16 ? 2 : 1; }

// How `count` rows are cut into panels of nearly the same height.
template <class V>
struct Panels {
  Panels(Element element, std::int64_t count_, std::int64_t features)
      : parts(halves(element)), count(count_), steps(packed_steps(features)) {
    const std::int64_t most = V::kPanelRows / parts;
    const std::int64_t panels = divide_up(count, most);
    unit = panels == 0 ? most : divide_up(count, panels);
  }

  std::int64_t rows(std::int64_t panel) const { return smaller(unit, count - panel * unit); }
  std::int64_t offset(std::int64_t panel) const { return panel * unit * parts * steps * 4; }
  std::int64_t bytes() const { return count * parts * steps * 4; }

  int parts;
  std::int64_t count;
  std::int64_t steps;
  std::int64_t unit;  // rows of x in a panel
};

// Four int8 codes, plus 128 for unsigned rows.
template <class V>
void pack_step(const std::int8_t* x, std::uint8_t* target) {
  std::uint32_t codes;
  std::memcpy(&codes, x, 4);
  if constexpr (!V::kSignedRows) codes ^= 0x80808080U;
  std::memcpy(target, &codes, 4);
}

// The even bytes of eight, side by side.
inline std::uint32_t even_bytes(std::uint64_t bytes) {
  bytes &= 0x00FF00FF00FF00FFU;
  bytes = (bytes | bytes >> 8) & 0x0000FFFF0000FFFFU;
  return static_cast<std::uint32_t>(bytes | bytes >> 16);
}

// Four int16 codes: high bytes, then low bytes, one of the two with its highest bit turned.
template <class V>
void pack_step(const std::int16_t* x, std::uint8_t* target) {
  std::uint64_t codes;
  std::memcpy(&codes, x, 8);
  codes ^= V::kSignedRows ? 0x0080008000800080U : 0x8000800080008000U;
  const std::uint32_t high = even_bytes(codes >> 8);
  const std::uint32_t low = even_bytes(codes);
  std::memcpy(target, &high, 4);
  std::memcpy(target + 4, &low, 4);
}

// Packs steps [first, last) of one row. `target` is the row's place in the panel's first step.
template <class V, typename Code>
void pack_steps(const Code* x, std::int64_t features, Range steps, std::uint8_t* target,
                std::int64_t step_bytes) {
  const std::int64_t whole = smaller(features / 4, steps.last);
  std::int64_t step = steps.first;
  for (; step < whole; ++step) pack_step<V>(x + step * 4, target + step * step_bytes);
  for (; step < steps.last; ++step) {
    Code rest[4] = {};
    for (std::int64_t c = 0; step * 4 + c < features && c < 4; ++c) rest[c] = x[step * 4 + c];
    pack_step<V>(rest, target + step * step_bytes);
  }
}

// Packs a panel, whose rows mix, a few steps of all rows at a time.
template <class V, typename Code>
void pack_panel(const Rows& x, const Panels<V>& panels, std::int64_t panel, std::byte* packed) {
  const std::int64_t rows = panels.rows(panel);
  const std::int64_t width = 4 * panels.parts;
  auto* target = reinterpret_cast<std::uint8_t*>(packed) + panels.offset(panel);
  const auto* codes = static_cast<const Code*>(x.data) + panel * panels.unit * x.stride;
  for (std::int64_t first = 0; first < panels.steps; first += kPackedSteps) {
    const Range steps{first, smaller(first + kPackedSteps, panels.steps)};
    for (std::int64_t row = 0; row < rows; ++row) {
      pack_steps<V>(codes + row * x.stride, x.features, steps, target + row * width, rows * width);
    }
  }
}

template <class V, typename Code>
void pack_rows(const Rows& x, Range rows, std::byte* packed) {
  const Panels<V> panels(x.element, x.count, x.features);
  const std::int64_t last = divide_up(rows.last, panels.unit);
  for (std::int64_t panel = rows.first / panels.unit; panel < last; ++panel) {
    pack_panel<V, Code>(x, panels, panel, packed);
  }
}

template <class V>
std::int64_t row_unit(Element element, std::int64_t count) {
  return Panels<V>(element, count, 1).unit;
}

template <class V>
std::size_t packed_bytes(Element element, std::int64_t count, std::int64_t features) {
  return static_cast<std::size_t>(Panels<V>(element, count, features).bytes());
}

template <class V>
void prepare(const Rows& x, Range rows, std::byte* packed) {
  if (x.element == Element::int8) {
    pack_rows<V, std::int8_t>(x, rows, packed);
  } else {
    pack_rows<V, std::int16_t>(x, rows, packed);
  }
}

}  // namespace
}  // namespace vlmforge::kernels
