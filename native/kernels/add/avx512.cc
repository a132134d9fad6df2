#include "kernels/add/body.h"
#include "kernels/simd/avx512.h"

namespace vlmforge::kernels {

void add_avx512(const Add& step, Range elements) { add<Avx512>(step, elements); }

}  // namespace vlmforge::kernels
