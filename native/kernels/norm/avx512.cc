#include "kernels/norm/body.h"
#include "kernels/simd/avx512.h"

namespace vlmforge::kernels {

void rms_norm_avx512(const Norm& step, Range rows) { rms_norm<Avx512>(step, rows); }

void layer_norm_avx512(const Norm& step, Range rows) { layer_norm<Avx512>(step, rows); }

}  // namespace vlmforge::kernels
