// What this processor and its operating system can run.
#pragma once

namespace vlmforge::kernels {

bool cpu_is_amd();
bool cpu_has_avx2();        // with FMA
bool cpu_has_avxvnni();     // with AVX2
bool cpu_has_avx512vnni();  // with AVX-512 F, BW, DQ, VL
bool cpu_has_avx512bf16();  // with the same
bool cpu_has_neon_dotprod();

}  // namespace vlmforge::kernels
