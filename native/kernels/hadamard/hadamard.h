// hadamard: code(f32(sum) * multiplier), where the sums are those of Sylvester's matrix of +1 and
// -1 over each block of int16 elements. |sum| <= 512 * 32767 < 2^24: exact, in whatever order.
#pragma once

#include "kernels/types.h"

namespace vlmforge::kernels {

inline constexpr std::int64_t kMaxHadamardBlock = 512;

struct Hadamard {
  const std::int16_t* x;
  std::int64_t block;  // 16, 32, ... 512
  float multiplier;
  void* output;
  Element element;  // of the output: int8 or int16
};

using HadamardKernel = void (*)(const Hadamard& step, Range blocks);
void hadamard_scalar(const Hadamard& step, Range blocks);
void hadamard_avx2(const Hadamard& step, Range blocks);
void hadamard_avx512(const Hadamard& step, Range blocks);
void hadamard_neon(const Hadamard& step, Range blocks);

}  // namespace vlmforge::kernels
