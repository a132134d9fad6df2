#include "kernels/activation/body.h"
#include "kernels/simd/avx2.h"

namespace vlmforge::kernels {

void silu_avx2(const Activation& step, Range elements) { silu<Avx2>(step, elements); }

void gelu_avx2(const Activation& step, Range elements) { gelu<Avx2>(step, elements); }

void quick_gelu_avx2(const Activation& step, Range elements) { quick_gelu<Avx2>(step, elements); }

void gelu_tanh_avx2(const Activation& step, Range elements) { gelu_tanh<Avx2>(step, elements); }

}  // namespace vlmforge::kernels
