#include "kernels/hadamard/body.h"
#include "kernels/simd/avx512.h"

namespace vlmforge::kernels {

void hadamard_avx512(const Hadamard& step, Range blocks) { hadamard<Avx512>(step, blocks); }

}  // namespace vlmforge::kernels
