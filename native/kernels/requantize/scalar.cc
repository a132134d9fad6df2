#include "kernels/requantize/body.h"
#include "kernels/simd/scalar.h"

namespace vlmforge::kernels {

void requantize_scalar(const Requantize& step, Range elements) {
  requantize<Scalar>(step, elements);
}

}  // namespace vlmforge::kernels
