#include "kernels/gate/body.h"
#include "kernels/simd/neon.h"

namespace vlmforge::kernels {

void gate_neon(const Gate& step, Range elements) { gate<Neon>(step, elements); }

}  // namespace vlmforge::kernels
