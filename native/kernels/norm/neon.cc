#include "kernels/norm/body.h"
#include "kernels/simd/neon.h"

namespace vlmforge::kernels {

void rms_norm_neon(const Norm& step, Range rows) { rms_norm<Neon>(step, rows); }

void layer_norm_neon(const Norm& step, Range rows) { layer_norm<Neon>(step, rows); }

}  // namespace vlmforge::kernels
