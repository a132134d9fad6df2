#include "kernels/norm/body.h"
#include "kernels/simd/scalar.h"

namespace vlmforge::kernels {

void rms_norm_scalar(const Norm& step, Range rows) { rms_norm<Scalar>(step, rows); }

void layer_norm_scalar(const Norm& step, Range rows) { layer_norm<Scalar>(step, rows); }

}  // namespace vlmforge::kernels
