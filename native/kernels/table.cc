#include "kernels/table.h"

#include "kernels/linear/cpu.h"

namespace vlmforge::kernels {
namespace {

#if defined(__x86_64__)
constexpr Kernels kAvx512{
    "avx512",         cpu_has_avx512vnni, quantize_avx512, requantize_avx512, add_avx512,
    mul_avx512,       silu_avx512,        gelu_avx512,     quick_gelu_avx512, gelu_tanh_avx512,
    gate_avx512,      hadamard_avx512,    rms_norm_avx512, layer_norm_avx512, rope_avx512,
    attention_avx512, "avx512vnni"};

constexpr Kernels kAvxVnni{
    "avxvnni",         cpu_has_avxvnni, quantize_avx2, requantize_avx2, add_avx2,
    mul_avx2,          silu_avx2,       gelu_avx2,     quick_gelu_avx2, gelu_tanh_avx2,
    gate_avx2,         hadamard_avx2,   rms_norm_avx2, layer_norm_avx2, rope_avx2,
    attention_avxvnni, "avxvnni"};

constexpr Kernels kAvx2{
    "avx2",         cpu_has_avx2,  quantize_avx2, requantize_avx2, add_avx2,
    mul_avx2,       silu_avx2,     gelu_avx2,     quick_gelu_avx2, gelu_tanh_avx2,
    gate_avx2,      hadamard_avx2, rms_norm_avx2, layer_norm_avx2, rope_avx2,
    attention_avx2, "avx2"};
#elif defined(__aarch64__)
constexpr Kernels kNeon{
    "neon",         cpu_has_neon_dotprod, quantize_neon, requantize_neon, add_neon,
    mul_neon,       silu_neon,            gelu_neon,     quick_gelu_neon, gelu_tanh_neon,
    gate_neon,      hadamard_neon,        rms_norm_neon, layer_norm_neon, rope_neon,
    attention_neon, "neon_dotprod"};
#endif

bool always() { return true; }

constexpr Kernels kScalar{
    "scalar",         always,          quantize_scalar, requantize_scalar, add_scalar,
    mul_scalar,       silu_scalar,     gelu_scalar,     quick_gelu_scalar, gelu_tanh_scalar,
    gate_scalar,      hadamard_scalar, rms_norm_scalar, layer_norm_scalar, rope_scalar,
    attention_scalar, "scalar"};

constexpr const Kernels* kAll[] = {
#if defined(__x86_64__)
    &kAvx512, &kAvxVnni, &kAvx2,
#elif defined(__aarch64__)
    &kNeon,
#endif
    &kScalar,
};

}  // namespace

std::vector<const Kernels*> supported_kernels() {
  std::vector<const Kernels*> found;
  for (const Kernels* kernels : kAll) {
    if (kernels->supported()) found.push_back(kernels);
  }
  return found;
}

const LinearVariant* linear_variant(std::string_view name) {
  std::size_t count = 0;
  const LinearVariant* const* variants = linear_variants(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view whole = variants[i]->name;
    if (whole.starts_with(name) && variants[i]->supported()) return variants[i];
  }
  return nullptr;
}

}  // namespace vlmforge::kernels
