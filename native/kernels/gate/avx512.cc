#include "kernels/gate/body.h"
#include "kernels/simd/avx512.h"

namespace vlmforge::kernels {

void gate_avx512(const Gate& step, Range elements) { gate<Avx512>(step, elements); }

}  // namespace vlmforge::kernels
