#include "kernels/activation/body.h"
#include "kernels/simd/avx512.h"

namespace vlmforge::kernels {

void silu_avx512(const Activation& step, Range elements) { silu<Avx512>(step, elements); }

void gelu_avx512(const Activation& step, Range elements) { gelu<Avx512>(step, elements); }

void quick_gelu_avx512(const Activation& step, Range elements) {
  quick_gelu<Avx512>(step, elements);
}

void gelu_tanh_avx512(const Activation& step, Range elements) { gelu_tanh<Avx512>(step, elements); }

}  // namespace vlmforge::kernels
