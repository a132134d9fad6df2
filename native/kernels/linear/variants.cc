// The table of variants built into this binary.
#include "cpu.h"
#include "linear.h"

namespace vlmforge::kernels {

extern const LinearVariant linear_scalar;
#if defined(__x86_64__)
extern const LinearVariant linear_avx512vnni_1, linear_avx512vnni_4;
extern const LinearVariant linear_avxvnni;
extern const LinearVariant linear_avx2;
#elif defined(__aarch64__)
extern const LinearVariant linear_neon;
#endif

const LinearVariant* const* linear_variants(std::size_t& count) {
#if defined(__x86_64__)
  static const bool amd = cpu_is_amd();  // Zen 5 reads a sixth faster in one stream
#endif
  static const LinearVariant* const variants[] = {
#if defined(__x86_64__)
      amd ? &linear_avx512vnni_1 : &linear_avx512vnni_4,
      amd ? &linear_avx512vnni_4 : &linear_avx512vnni_1,
      &linear_avxvnni, &linear_avx2,
#elif defined(__aarch64__)
      &linear_neon,
#endif
      &linear_scalar,
  };
  count = sizeof(variants) / sizeof(variants[0]);
  return variants;
}

}  // namespace vlmforge::kernels
