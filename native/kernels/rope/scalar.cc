#include "kernels/rope/body.h"
#include "kernels/simd/scalar.h"

namespace vlmforge::kernels {

void rope_scalar(const Rope& step, Range rows) { rope<Scalar>(step, rows); }

}  // namespace vlmforge::kernels
