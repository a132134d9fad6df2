// silu, gelu, quick_gelu, gelu_tanh: code(f(f32(x) * scale) * inverse_scale + zero_point) of int16 elements.
#pragma once

#include "kernels/types.h"

namespace vlmforge::kernels {

struct Activation {
  const std::int16_t* x;
  float scale;
  float inverse_scale;
  float zero_point;
  void* output;
  Element element;  // of the output: int8 or int16
};

using SiluKernel = void (*)(const Activation& step, Range elements);
using GeluKernel = void (*)(const Activation& step, Range elements);
using QuickGeluKernel = void (*)(const Activation& step, Range elements);
using GeluTanhKernel = void (*)(const Activation& step, Range elements);
void silu_scalar(const Activation& step, Range elements);
void gelu_scalar(const Activation& step, Range elements);
void quick_gelu_scalar(const Activation& step, Range elements);
void gelu_tanh_scalar(const Activation& step, Range elements);
void silu_avx2(const Activation& step, Range elements);
void gelu_avx2(const Activation& step, Range elements);
void quick_gelu_avx2(const Activation& step, Range elements);
void gelu_tanh_avx2(const Activation& step, Range elements);
void silu_avx512(const Activation& step, Range elements);
void gelu_avx512(const Activation& step, Range elements);
void quick_gelu_avx512(const Activation& step, Range elements);
void gelu_tanh_avx512(const Activation& step, Range elements);
void silu_neon(const Activation& step, Range elements);
void gelu_neon(const Activation& step, Range elements);
void quick_gelu_neon(const Activation& step, Range elements);
void gelu_tanh_neon(const Activation& step, Range elements);

}  // namespace vlmforge::kernels
