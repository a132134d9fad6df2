#include "kernels/activation/body.h"
#include "kernels/simd/scalar.h"

namespace vlmforge::kernels {

void silu_scalar(const Activation& step, Range elements) { silu<Scalar>(step, elements); }

void gelu_scalar(const Activation& step, Range elements) { gelu<Scalar>(step, elements); }

void quick_gelu_scalar(const Activation& step, Range elements) {
  quick_gelu<Scalar>(step, elements);
}

void gelu_tanh_scalar(const Activation& step, Range elements) { gelu_tanh<Scalar>(step, elements); }

}  // namespace vlmforge::kernels
