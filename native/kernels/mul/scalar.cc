#include "kernels/mul/body.h"
#include "kernels/simd/scalar.h"

namespace vlmforge::kernels {

void mul_scalar(const Mul& step, Range elements) { mul<Scalar>(step, elements); }

}  // namespace vlmforge::kernels
