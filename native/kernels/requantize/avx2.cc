#include "kernels/requantize/body.h"
#include "kernels/simd/avx2.h"

namespace vlmforge::kernels {

void requantize_avx2(const Requantize& step, Range elements) { requantize<Avx2>(step, elements); }

}  // namespace vlmforge::kernels
