#include "kernels/quantize/body.h"
#include "kernels/simd/neon.h"

namespace vlmforge::kernels {

void quantize_neon(const Quantize& step, Range elements) { quantize<Neon>(step, elements); }

}  // namespace vlmforge::kernels
