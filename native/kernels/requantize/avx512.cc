#include "kernels/requantize/body.h"
#include "kernels/simd/avx512.h"

namespace vlmforge::kernels {

void requantize_avx512(const Requantize& step, Range elements) {
  requantize<Avx512>(step, elements);
}

}  // namespace vlmforge::kernels
