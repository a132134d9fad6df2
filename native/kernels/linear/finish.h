// The last step of a product, in plain C++: exact sums to output codes.
//
// Internal linkage on purpose: this is compiled once for every variant, each with its own flags.
#pragma once

#include <cmath>
#include <cstdint>

#include "linear.h"

namespace vlmforge::kernels {
namespace {

// Channels of block `block` that exist: 16, or fewer in the last block.
inline std::int64_t channels_in(const LinearWeight& weight, std::int64_t block) {
  const std::int64_t left = weight.out_features - block * kChannelsPerBlock;
  return left < kChannelsPerBlock ? left : kChannelsPerBlock;
}

inline std::int64_t bias_of(const LinearWeight& weight, std::int64_t channel) {
  if (weight.bias64 != nullptr) return weight.bias64[channel];
  return weight.bias32 != nullptr ? weight.bias32[channel] : 0;
}

inline float clamped(float value, float limit) {
  if (value > limit) return limit;
  return value < -limit ? -limit : value;
}

inline void store(const Output& y, std::int64_t index, float value) {
  if (y.element == Element::int8) {
    const float code = std::nearbyint(clamped(value, 127.0F));
    static_cast<std::int8_t*>(y.data)[index] = static_cast<std::int8_t>(code);
  } else if (y.element == Element::int16) {
    const float code = std::nearbyint(clamped(value, 32767.0F));
    static_cast<std::int16_t*>(y.data)[index] = static_cast<std::int16_t>(code);
  } else {
    static_cast<float*>(y.data)[index] = value;
  }
}

// 16 sums in 32 bits, or the two halves of 16 sums: high * 256 + low.
struct Halves {
  const std::int32_t* high;
  const std::int32_t* low;  // or null

  std::int64_t operator[](std::int64_t lane) const {
    return low == nullptr ? high[lane] : std::int64_t{high[lane]} * 256 + low[lane];
  }
};

// Finishes 16 exact sums, Halves or int64, of one row and one block.
template <class Sums>
void finish(const Sums& sums, const LinearWeight& weight, const Output& y, std::int64_t row,
            std::int64_t block) {
  const std::int64_t count = channels_in(weight, block);
  if (y.element == Element::int32) {
    auto* const totals =
        static_cast<std::int32_t*>(y.data) + row * y.stride + block * kChannelsPerBlock;
    for (std::int64_t lane = 0; lane < count; ++lane) {
      totals[lane] += static_cast<std::int32_t>(sums[lane]);
    }
    return;
  }
  for (std::int64_t lane = 0; lane < count; ++lane) {
    const std::int64_t channel = block * kChannelsPerBlock + lane;
    const float sum = static_cast<float>(sums[lane] + bias_of(weight, channel));
    store(y, row * y.stride + channel, sum * weight.multiplier[channel]);
  }
}

}  // namespace
}  // namespace vlmforge::kernels
