// rms_norm and layer_norm of int16 rows [M, K], K <= 65536; rms_norm of each group of columns alone.
#pragma once

#include "kernels/types.h"

namespace vlmforge::kernels {

struct Norm {
  const std::int16_t* x;
  std::int64_t columns;
  std::int64_t group;  // columns normalized together; it divides them, and is all for layer_norm
  float epsilon;
  float multiplier;   // in place of the gain where that is null
  const float* gain;  // [K] or null
  const float* bias;  // [K] or null, layer_norm only
  void* output;
  Element element;  // of the output: int8 or int16
};

using RmsNormKernel = void (*)(const Norm& step, Range rows);
using LayerNormKernel = void (*)(const Norm& step, Range rows);
void rms_norm_scalar(const Norm& step, Range rows);
void layer_norm_scalar(const Norm& step, Range rows);
void rms_norm_avx2(const Norm& step, Range rows);
void layer_norm_avx2(const Norm& step, Range rows);
void rms_norm_avx512(const Norm& step, Range rows);
void layer_norm_avx512(const Norm& step, Range rows);
void rms_norm_neon(const Norm& step, Range rows);
void layer_norm_neon(const Norm& step, Range rows);

}  // namespace vlmforge::kernels
