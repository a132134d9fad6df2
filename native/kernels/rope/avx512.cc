#include "kernels/rope/body.h"
#include "kernels/simd/avx512.h"

namespace vlmforge::kernels {

void rope_avx512(const Rope& step, Range rows) { rope<Avx512>(step, rows); }

}  // namespace vlmforge::kernels
