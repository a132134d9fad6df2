#include "kernels/gate/body.h"
#include "kernels/simd/scalar.h"

namespace vlmforge::kernels {

void gate_scalar(const Gate& step, Range elements) { gate<Scalar>(step, elements); }

}  // namespace vlmforge::kernels
