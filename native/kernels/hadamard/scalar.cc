#include "kernels/hadamard/body.h"
#include "kernels/simd/scalar.h"

namespace vlmforge::kernels {

void hadamard_scalar(const Hadamard& step, Range blocks) { hadamard<Scalar>(step, blocks); }

}  // namespace vlmforge::kernels
