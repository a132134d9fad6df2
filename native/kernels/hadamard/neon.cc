#include "kernels/hadamard/body.h"
#include "kernels/simd/neon.h"

namespace vlmforge::kernels {

void hadamard_neon(const Hadamard& step, Range blocks) { hadamard<Neon>(step, blocks); }

}  // namespace vlmforge::kernels
