// What AVX-512 BF16 does faster than AVX-512.
#pragma once

#include "kernels/real/real.h"

namespace vlmforge::kernels {

void product_avx512bf16(const RealProduct<float>& step, Range rows, Range columns);
void attention_avx512bf16(const RealAttention& step, Range tasks);

}  // namespace vlmforge::kernels
