#include "kernels/add/body.h"
#include "kernels/simd/avx2.h"

namespace vlmforge::kernels {

void add_avx2(const Add& step, Range elements) { add<Avx2>(step, elements); }

}  // namespace vlmforge::kernels
