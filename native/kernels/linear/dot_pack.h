// Packs rows into the panels of dot_tile.h.
#pragma once

#include <cstring>

#include "blocks.h"
#include "linear.h"

namespace vlmforge::kernels {
namespace {

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

// Four int16 codes: high bytes, then low bytes, one of the two with its highest bit turned.
template <class V>
void pack_step(const std::int16_t* x, std::uint8_t* target) {
  constexpr int kTurnHigh = V::kSignedRows ? 0 : 0x80;
  for (int c = 0; c < 4; ++c) {
    const auto code = static_cast<std::uint16_t>(x[c]);
    target[c] = static_cast<std::uint8_t>((code >> 8) ^ kTurnHigh);
    target[4 + c] = static_cast<std::uint8_t>((code & 0xFF) ^ (0x80 - kTurnHigh));
  }
}

// Packs one row of x: `target` is its place in the first step, `step_bytes` those of a panel.
template <class V, typename Code>
void pack_row(const Code* x, std::int64_t features, std::int64_t steps, std::uint8_t* target,
              std::int64_t step_bytes) {
  const std::int64_t whole = features / 4;
  for (std::int64_t step = 0; step < whole; ++step) {
    pack_step<V>(x + step * 4, target + step * step_bytes);
  }
  for (std::int64_t step = whole; step < steps; ++step) {
    Code rest[4] = {};
    for (std::int64_t c = 0; step * 4 + c < features && c < 4; ++c) rest[c] = x[step * 4 + c];
    pack_step<V>(rest, target + step * step_bytes);
  }
}

template <class V, typename Code>
void pack_rows(const Rows& x, Range rows, std::byte* packed) {
  const Panels<V> panels(x.element, x.count, x.features);
  for (std::int64_t row = rows.first; row < rows.last; ++row) {
    const std::int64_t panel = row / panels.unit;
    const std::int64_t width = 4 * panels.parts;
    auto* target = reinterpret_cast<std::uint8_t*>(packed) + panels.offset(panel) +
                   row % panels.unit * width;
    pack_row<V>(static_cast<const Code*>(x.data) + row * x.stride, x.features, panels.steps, target,
             panels.rows(panel) * width);
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
