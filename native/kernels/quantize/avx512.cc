#include "kernels/quantize/body.h"
#include "kernels/simd/avx512.h"

namespace vlmforge::kernels {

void quantize_avx512(const Quantize& step, Range elements) { quantize<Avx512>(step, elements); }

}  // namespace vlmforge::kernels
