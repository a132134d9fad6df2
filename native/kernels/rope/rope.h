// rope: rotates the halves of every head of int16 rows [M, H * D] by float32 rows [M, 2, D].
#pragma once

#include "kernels/types.h"

namespace vlmforge::kernels {

struct Rope {
  const std::int16_t* x;
  const float* rows;        // cosines, then sines
  const float* multiplier;  // [H * D]
  const float* offset;      // [H * D], or null
  std::int64_t heads;
  std::int64_t head_dim;
  std::int8_t* output;
};

using RopeKernel = void (*)(const Rope& step, Range rows);
void rope_scalar(const Rope& step, Range rows);
void rope_avx2(const Rope& step, Range rows);
void rope_avx512(const Rope& step, Range rows);
void rope_neon(const Rope& step, Range rows);

}  // namespace vlmforge::kernels
