#include "kernels/quantize/body.h"
#include "kernels/simd/scalar.h"

namespace vlmforge::kernels {

void quantize_scalar(const Quantize& step, Range elements) { quantize<Scalar>(step, elements); }

}  // namespace vlmforge::kernels
