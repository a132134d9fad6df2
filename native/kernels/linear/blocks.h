// Sizes every variant shares.
#pragma once

#include <cstdint>

namespace vlmforge::kernels {
namespace {

constexpr std::int64_t kUnitBytes = 64;  // of 16 channels: four columns of int8, eight of int4

inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
inline std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Steps of four columns in a packed row: K padded to a multiple of 8, as int4 weights are.
inline std::int64_t packed_steps(std::int64_t features) { return divide_up(features, 8) * 2; }

}  // namespace
}  // namespace vlmforge::kernels
