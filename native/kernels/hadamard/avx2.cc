#include "kernels/hadamard/body.h"
#include "kernels/simd/avx2.h"

namespace vlmforge::kernels {

void hadamard_avx2(const Hadamard& step, Range blocks) { hadamard<Avx2>(step, blocks); }

}  // namespace vlmforge::kernels
