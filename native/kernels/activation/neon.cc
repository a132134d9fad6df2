#include "kernels/activation/body.h"
#include "kernels/simd/neon.h"

namespace vlmforge::kernels {

void silu_neon(const Activation& step, Range elements) { silu<Neon>(step, elements); }

void gelu_neon(const Activation& step, Range elements) { gelu<Neon>(step, elements); }

void quick_gelu_neon(const Activation& step, Range elements) { quick_gelu<Neon>(step, elements); }

void gelu_tanh_neon(const Activation& step, Range elements) { gelu_tanh<Neon>(step, elements); }

}  // namespace vlmforge::kernels
