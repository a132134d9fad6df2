#include "kernels/add/body.h"
#include "kernels/simd/neon.h"

namespace vlmforge::kernels {

void add_neon(const Add& step, Range elements) { add<Neon>(step, elements); }

}  // namespace vlmforge::kernels
