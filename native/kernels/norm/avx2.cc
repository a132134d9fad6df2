#include "kernels/norm/body.h"
#include "kernels/simd/avx2.h"

namespace vlmforge::kernels {

void rms_norm_avx2(const Norm& step, Range rows) { rms_norm<Avx2>(step, rows); }

void layer_norm_avx2(const Norm& step, Range rows) { layer_norm<Avx2>(step, rows); }

}  // namespace vlmforge::kernels
