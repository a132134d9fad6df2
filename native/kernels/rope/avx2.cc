#include "kernels/rope/body.h"
#include "kernels/simd/avx2.h"

namespace vlmforge::kernels {

void rope_avx2(const Rope& step, Range rows) { rope<Avx2>(step, rows); }

}  // namespace vlmforge::kernels
