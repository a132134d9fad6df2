#include "kernels/rope/body.h"
#include "kernels/simd/neon.h"

namespace vlmforge::kernels {

void rope_neon(const Rope& step, Range rows) { rope<Neon>(step, rows); }

}  // namespace vlmforge::kernels
