// quantize: code(x * inverse_scale) of float32 elements.
#pragma once

#include "kernels/types.h"

namespace vlmforge::kernels {

struct Quantize {
  const float* x;
  float inverse_scale;
  void* output;
  Element element;  // of the output: int8 or int16
};

using QuantizeKernel = void (*)(const Quantize& step, Range elements);
void quantize_scalar(const Quantize& step, Range elements);
void quantize_avx2(const Quantize& step, Range elements);
void quantize_avx512(const Quantize& step, Range elements);
void quantize_neon(const Quantize& step, Range elements);

}  // namespace vlmforge::kernels
