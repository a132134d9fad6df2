// Products of real matrices. Each element of the output is a sum over blocks of kDepth, in order; a
// block's sum is a chain of fused multiply-adds over ascending k that begins with zero. The tiles
// of an instruction set differ, the chains do not. An instruction may multiply and add several
// numbers of a row, one after the other: then an element of a panel holds so many.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/real/operands.h"
#include "kernels/real/real.h"
#include "kernels/real/scratch.h"
#include "kernels/simd/inline.h"

namespace vlmforge::kernels {
namespace {

constexpr std::int64_t kDepth = 256;

constexpr std::int64_t kPanelRows = 8;      // tiles of the first operand packed at once
constexpr std::int64_t kPanelColumns = 32;  // tiles of the second

// V: width, rows of a tile, T, F, zero(), load(p), store(p, x), splat(p), fma(a, b, c) = a b + c, and
// what operands.h tells of the elements that load and splat read.
template <class V>
struct Tile {
  using T = typename V::T;
  using F = typename V::F;
  using Panel = typename V::Panel;
  static constexpr std::int64_t rows = V::rows;
  static constexpr std::int64_t columns = 2 * V::width;

  // sums [rows, columns] = a [depth, rows]' b [depth, columns]
  static VLMFORGE_INLINE void multiply(const Panel* a, const Panel* b, std::int64_t depth, T* sums) {
    F total[rows][2];
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) total[r][0] = total[r][1] = V::zero();
    for (std::int64_t k = 0; k < depth; ++k, a += rows, b += columns) {
      const auto left = V::load(b), right = V::load(b + V::width);
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r) {
        const auto x = V::splat(a + r);
        total[r][0] = V::fma(x, left, total[r][0]);
        total[r][1] = V::fma(x, right, total[r][1]);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      V::store(sums + r * columns, total[r][0]);
      V::store(sums + r * columns + V::width, total[r][1]);
    }
  }
};

// Numbers of a chain, with the zeros behind them.
template <class V>
VLMFORGE_INLINE std::int64_t filled(std::int64_t numbers) {
  return (numbers + V::together - 1) / V::together * V::together;
}

// packed [depth, lines] of `count` lines of the matrix, with zeros behind the last; a line has
// `numbers` that are `step` apart, lines are `line` apart.
template <class V, std::int64_t lines>
VLMFORGE_INLINE void pack(const typename V::T* data, std::int64_t line, std::int64_t step,
                          std::int64_t count, std::int64_t numbers, typename V::Panel* packed) {
  using T = typename V::T;
  const auto number = [=](const T* p, std::int64_t k) VLMFORGE_INLINE_LAMBDA {
    return V::together == 1 || k < numbers ? p[k * step] : T{0};
  };
  const auto element = [=](const T* p, std::int64_t k) VLMFORGE_INLINE_LAMBDA {
    return V::panel(number(p, k), V::depth > 1 ? number(p, k + 1) : T{0});
  };
  const std::int64_t whole = line == 1 ? 0 : count / 4 * 4, last = filled<V>(numbers);
  for (std::int64_t i = 0; i < whole; i += 4) {
    const T* const p = data + i * line;
    typename V::Panel* to = packed + i;
    for (std::int64_t k = 0; k < last; k += V::depth, to += lines) {
      for (std::int64_t j = 0; j < 4; ++j) to[j] = element(p + j * line, k);
    }
  }
  for (std::int64_t k = 0; k < last; k += V::depth, packed += lines) {
    for (std::int64_t i = whole; i < count; ++i) packed[i] = element(data + i * line, k);
    for (std::int64_t i = count; i < lines; ++i) packed[i] = 0;
  }
}

// Rows and columns of a tile as they stand in the output.
struct Place {
  std::int64_t row, column, rows, columns;
};

template <class V>
VLMFORGE_INLINE void write_tile(const RealProduct<typename V::T>& step, Into into, Place place,
                                const typename V::T* sums) {
  using T = typename V::T;
  for (std::int64_t r = 0; r < place.rows; ++r) {
    T* const c = step.c + (place.row + r) * step.c_row + place.column;
    const T* const s = sums + r * Tile<V>::columns;
    if (into == Into::replaced) {
      for (std::int64_t j = 0; j < place.columns; ++j) c[j] = s[j];
    } else if (into == Into::added) {
      for (std::int64_t j = 0; j < place.columns; ++j) c[j] = c[j] + s[j];
    } else {
      for (std::int64_t j = 0; j < place.columns; ++j) c[j] = c[j] - s[j];
    }
  }
}

// One block of kDepth at most for panels of rows and columns.
template <class V>
void multiply_panels(const RealProduct<typename V::T>& step, Into into, Range rows, Range columns,
                     const typename V::Panel* a, const typename V::Panel* b, std::int64_t depth) {
  alignas(64) typename V::T sums[Tile<V>::rows * Tile<V>::columns];
  for (std::int64_t column = columns.first; column < columns.last; column += Tile<V>::columns) {
    const typename V::Panel* left = a;
    const std::int64_t wide = std::min(Tile<V>::columns, columns.last - column);
    for (std::int64_t row = rows.first; row < rows.last; row += Tile<V>::rows) {
      Tile<V>::multiply(left, b, depth, sums);
      const std::int64_t high = std::min(Tile<V>::rows, rows.last - row);
      write_tile<V>(step, into, {row, column, high, wide}, sums);
      left += Tile<V>::rows * depth;
    }
    b += Tile<V>::columns * depth;
  }
}

template <class V>
void product(const RealProduct<typename V::T>& step, Range rows, Range columns) {
  using T = typename V::T;
  using Panel = typename V::Panel;
  [[maybe_unused]] const typename V::Environment environment;
  constexpr std::int64_t high = Tile<V>::rows, wide = Tile<V>::columns;
  constexpr std::int64_t most = kDepth / V::depth;
  constexpr std::int64_t size_a = kPanelRows * high * most, size_b = kPanelColumns * wide * most;
  Panel* const a = static_cast<Panel*>(scratch(Scratch::panels, (size_a + size_b) * sizeof(Panel)));
  Panel* const b = a + size_a;
  if (step.k == 0 && step.into == Into::replaced) {
    for (std::int64_t row = rows.first; row < rows.last; ++row) {
      T* const c = step.c + row * step.c_row;
      for (std::int64_t j = columns.first; j < columns.last; ++j) c[j] = T{0};
    }
  }
  for (std::int64_t column = columns.first; column < columns.last; column += kPanelColumns * wide) {
    const std::int64_t right = std::min(columns.last, column + kPanelColumns * wide);
    for (std::int64_t k = 0; k < step.k; k += kDepth) {
      const std::int64_t numbers = std::min(kDepth, step.k - k);
      const std::int64_t depth = filled<V>(numbers) / V::depth;
      const Into into = k > 0 && step.into == Into::replaced ? Into::added : step.into;
      for (std::int64_t j = column; j < right; j += wide) {
        const T* const data = step.b.data + j * step.b.column + k * step.b.row;
        pack<V, wide>(data, step.b.column, step.b.row, std::min(wide, right - j), numbers,
                      b + (j - column) * depth);
      }
      for (std::int64_t row = rows.first; row < rows.last; row += kPanelRows * high) {
        const std::int64_t bottom = std::min(rows.last, row + kPanelRows * high);
        for (std::int64_t i = row; i < bottom; i += high) {
          const T* const data = step.a.data + i * step.a.row + k * step.a.column;
          pack<V, high>(data, step.a.row, step.a.column, std::min(high, bottom - i), numbers,
                        a + (i - row) * depth);
        }
        multiply_panels<V>(step, into, {row, bottom}, {column, right}, a, b, depth);
      }
    }
  }
}

}  // namespace
}  // namespace vlmforge::kernels
