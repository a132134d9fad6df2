// The table of variants built into this binary.
#include "linear.h"

namespace vlmforge::kernels {

extern const LinearVariant linear_scalar;
#if defined(__x86_64__)
extern const LinearVariant linear_avx512vnni;
extern const LinearVariant linear_avxvnni;
extern const LinearVariant linear_avx2;
#elif defined(__aarch64__)
extern const LinearVariant linear_neon;
#endif

const LinearVariant* const* linear_variants(std::size_t& count) {
  static const LinearVariant* const variants[] = {
#if defined(__x86_64__)
      &linear_avx512vnni, &linear_avxvnni, &linear_avx2,
#elif defined(__aarch64__)
      &linear_neon,
#endif
      &linear_scalar,
  };
  count = sizeof(variants) / sizeof(variants[0]);
  return variants;
}

}  // namespace vlmforge::kernels
