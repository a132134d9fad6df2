#include "kernels/add/body.h"
#include "kernels/simd/scalar.h"

namespace vlmforge::kernels {

void add_scalar(const Add& step, Range elements) { add<Scalar>(step, elements); }

}  // namespace vlmforge::kernels
