// requantize: code(f32(x) * multiplier) of int16 elements.
#pragma once

#include "kernels/types.h"

namespace vlmforge::kernels {

struct Requantize {
  const std::int16_t* x;
  float multiplier;
  void* output;
  Element element;  // of the output: int8 or int16
};

using RequantizeKernel = void (*)(const Requantize& step, Range elements);
void requantize_scalar(const Requantize& step, Range elements);
void requantize_avx2(const Requantize& step, Range elements);
void requantize_avx512(const Requantize& step, Range elements);
void requantize_neon(const Requantize& step, Range elements);

}  // namespace vlmforge::kernels
