// add: code(f32(a) * multiplier_a + f32(b) * multiplier_b) of int16 elements.
#pragma once

#include "kernels/types.h"

namespace vlmforge::kernels {

struct Add {
  const std::int16_t* a;
  const std::int16_t* b;
  float multiplier_a;
  float multiplier_b;
  void* output;
  Element element;  // of the output: int8 or int16
};

using AddKernel = void (*)(const Add& step, Range elements);
void add_scalar(const Add& step, Range elements);
void add_avx2(const Add& step, Range elements);
void add_avx512(const Add& step, Range elements);
void add_neon(const Add& step, Range elements);

}  // namespace vlmforge::kernels
