#include "kernels/mul/body.h"
#include "kernels/simd/avx512.h"

namespace vlmforge::kernels {

void mul_avx512(const Mul& step, Range elements) { mul<Avx512>(step, elements); }

}  // namespace vlmforge::kernels
