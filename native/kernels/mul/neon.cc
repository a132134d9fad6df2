#include "kernels/mul/body.h"
#include "kernels/simd/neon.h"

namespace vlmforge::kernels {

void mul_neon(const Mul& step, Range elements) { mul<Neon>(step, elements); }

}  // namespace vlmforge::kernels
