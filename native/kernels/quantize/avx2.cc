#include "kernels/quantize/body.h"
#include "kernels/simd/avx2.h"

namespace vlmforge::kernels {

void quantize_avx2(const Quantize& step, Range elements) { quantize<Avx2>(step, elements); }

}  // namespace vlmforge::kernels
