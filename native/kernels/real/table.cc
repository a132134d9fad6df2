#include "kernels/real/real.h"

namespace vlmforge::kernels {

std::vector<const RealKernels*> real_kernels() {
  constexpr const RealKernels* kAll[] = {
#if defined(__x86_64__)
      &real_avx512bf16, &real_avx512, &real_avx2,
#elif defined(__aarch64__)
      &real_neon,
#endif
      &real_scalar,
  };
  std::vector<const RealKernels*> found;
  for (const RealKernels* kernels : kAll) {
    if (kernels->supported()) found.push_back(kernels);
  }
  return found;
}

const RealKernels* real_kernels_of(std::string_view isa) {
  const std::string_view name = isa == "avxvnni" ? "avx2" : isa;
  for (const RealKernels* kernels : real_kernels()) {
    if (kernels->name == name) return kernels;
  }
  return nullptr;
}

}  // namespace vlmforge::kernels
