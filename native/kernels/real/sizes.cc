#include <bit>
#include <cstdint>

#include "kernels/real/real.h"

namespace vlmforge::kernels {

std::int64_t RealSizes::count() const {
  constexpr std::uint32_t kSize = 0x7FFFFFFF, kInfinity = 0x7F800000;
  std::int64_t others = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const double weight = weights[row];
    const float* const values = x + row * columns;
    for (std::int64_t i = 0; i < columns; ++i) {
      const std::uint32_t size = std::bit_cast<std::uint32_t>(values[i]) & kSize;
      if (size >= kInfinity) {
        ++others;
        continue;
      }
      elements[size >> shift] += 1;
      weighted[size >> shift] += weight;
    }
  }
  return others;
}

}  // namespace vlmforge::kernels
