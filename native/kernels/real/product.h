// Products of real matrices. Each element of the output is a sum over blocks of kDepth, in order; a
// block's sum is a chain of fused multiply-adds over ascending k that begins with zero. The tiles
// of an instruction set differ, the chains do not.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/real/real.h"
#include "kernels/real/scratch.h"
#include "kernels/simd/inline.h"

namespace vlmforge::kernels {
namespace {

constexpr std::int64_t kDepth = 256;

constexpr std::int64_t kPanelRows = 8;      // tiles of the first operand packed at once
constexpr std::int64_t kPanelColumns = 32;  // tiles of the second

// V: width, rows of a tile, T, F, zero(), load(p), store(p, x), splat(p), fma(a, b, c) = a b + c.
template <class V>
struct Tile {
  using T = typename V::T;
  using F = typename V::F;
  static constexpr std::int64_t rows = V::rows;
  static constexpr std::int64_t columns = 2 * V::width;

  // sums [rows, columns] = a [depth, rows]' b [depth, columns]
  static VLMFORGE_INLINE void multiply(const T* a, const T* b, std::int64_t depth, T* sums) {
    F total[rows][2];
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) total[r][0] = total[r][1] = V::zero();
    for (std::int64_t k = 0; k < depth; ++k, a += rows, b += columns) {
      const F left = V::load(b), right = V::load(b + V::width);
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r) {
        const F x = V::splat(a + r);
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

// packed [depth, lines] of lines of the matrix, with zeros behind the last; a line's elements are
// `step` apart, lines `line` apart.
template <class T, std::int64_t lines>
VLMFORGE_INLINE void pack(const T* data, std::int64_t line, std::int64_t step, std::int64_t count,
                          std::int64_t depth, T* packed) {
  if (line == 1) {
    for (std::int64_t k = 0; k < depth; ++k) {
      for (std::int64_t i = 0; i < count; ++i) packed[k * lines + i] = data[k * step + i];
      for (std::int64_t i = count; i < lines; ++i) packed[k * lines + i] = 0;
    }
    return;
  }
  std::int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const T* const p = data + i * line;
    for (std::int64_t k = 0; k < depth; ++k) {
      for (std::int64_t j = 0; j < 4; ++j) packed[k * lines + i + j] = p[j * line + k * step];
    }
  }
  for (; i < lines; ++i) {
    for (std::int64_t k = 0; k < depth; ++k) {
      packed[k * lines + i] = i < count ? data[i * line + k * step] : T{0};
    }
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
                     const typename V::T* a, const typename V::T* b, std::int64_t depth) {
  using T = typename V::T;
  alignas(64) T sums[Tile<V>::rows * Tile<V>::columns];
  for (std::int64_t column = columns.first; column < columns.last; column += Tile<V>::columns) {
    const T* left = a;
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
  constexpr std::int64_t high = Tile<V>::rows, wide = Tile<V>::columns;
  constexpr std::int64_t size_a = kPanelRows * high * kDepth, size_b = kPanelColumns * wide * kDepth;
  T* const a = static_cast<T*>(scratch(Scratch::panels, (size_a + size_b) * sizeof(T)));
  T* const b = a + size_a;
  if (step.k == 0 && step.into == Into::replaced) {
    for (std::int64_t row = rows.first; row < rows.last; ++row) {
      T* const c = step.c + row * step.c_row;
      for (std::int64_t j = columns.first; j < columns.last; ++j) c[j] = T{0};
    }
  }
  for (std::int64_t column = columns.first; column < columns.last; column += kPanelColumns * wide) {
    const std::int64_t right = std::min(columns.last, column + kPanelColumns * wide);
    for (std::int64_t k = 0; k < step.k; k += kDepth) {
      const std::int64_t depth = std::min(kDepth, step.k - k);
      const Into into = k > 0 && step.into == Into::replaced ? Into::added : step.into;
      for (std::int64_t j = column; j < right; j += wide) {
        const T* const data = step.b.data + j * step.b.column + k * step.b.row;
        pack<T, wide>(data, step.b.column, step.b.row, std::min(wide, right - j), depth,
                      b + (j - column) * depth);
      }
      for (std::int64_t row = rows.first; row < rows.last; row += kPanelRows * high) {
        const std::int64_t bottom = std::min(rows.last, row + kPanelRows * high);
        for (std::int64_t i = row; i < bottom; i += high) {
          const T* const data = step.a.data + i * step.a.row + k * step.a.column;
          pack<T, high>(data, step.a.row, step.a.column, std::min(high, bottom - i), depth,
                        a + (i - row) * depth);
        }
        multiply_panels<V>(step, into, {row, bottom}, {column, right}, a, b, depth);
      }
    }
  }
}

}  // namespace
}  // namespace vlmforge::kernels
