#include "kernels/gate/body.h"
#include "kernels/simd/avx2.h"

namespace vlmforge::kernels {

void gate_avx2(const Gate& step, Range elements) { gate<Avx2>(step, elements); }

}  // namespace vlmforge::kernels
