#include "kernels/mul/body.h"
#include "kernels/simd/avx2.h"

namespace vlmforge::kernels {

void mul_avx2(const Mul& step, Range elements) { mul<Avx2>(step, elements); }

}  // namespace vlmforge::kernels
