// mul: code((f32(a) * f32(b)) * multiplier) of int16 elements.
#pragma once

#include "kernels/types.h"

namespace vlmforge::kernels {

struct Mul {
  const std::int16_t* a;
  const std::int16_t* b;
  float multiplier;
  void* output;
  Element element;  // of the output: int8 or int16
};

using MulKernel = void (*)(const Mul& step, Range elements);
void mul_scalar(const Mul& step, Range elements);
void mul_avx2(const Mul& step, Range elements);
void mul_avx512(const Mul& step, Range elements);
void mul_neon(const Mul& step, Range elements);

}  // namespace vlmforge::kernels
