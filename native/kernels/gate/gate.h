// silu, then mul: the product of a gated MLP in one pass over memory, with the codes of both.
#pragma once

#include "kernels/types.h"

namespace vlmforge::kernels {

struct Gate {
  const std::int16_t* x;
  const std::int16_t* up;
  float scale;          // of silu
  float inverse_scale;  // of silu
  float multiplier;     // of mul
  void* output;
  Element element;  // of the output: int8 or int16
};

using GateKernel = void (*)(const Gate& step, Range elements);
void gate_scalar(const Gate& step, Range elements);
void gate_avx2(const Gate& step, Range elements);
void gate_avx512(const Gate& step, Range elements);
void gate_neon(const Gate& step, Range elements);

}  // namespace vlmforge::kernels
