#include "kernels/requantize/body.h"
#include "kernels/simd/neon.h"

namespace vlmforge::kernels {

void requantize_neon(const Requantize& step, Range elements) { requantize<Neon>(step, elements); }

}  // namespace vlmforge::kernels
