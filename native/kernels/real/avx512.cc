#include <immintrin.h>

#include "kernels/linear/cpu.h"
#include "kernels/real/bfloat16.h"
#include "kernels/real/kernels.h"
#include "kernels/simd/avx512.h"

namespace vlmforge::kernels {
namespace {

struct Floats : Plain<float> {
  using F = __m512;
  static constexpr std::int64_t width = 16, rows = 14;
  static VLMFORGE_INLINE F zero() { return _mm512_setzero_ps(); }
  static VLMFORGE_INLINE F load(const T* p) { return _mm512_loadu_ps(p); }
  static VLMFORGE_INLINE void store(T* p, F x) { _mm512_storeu_ps(p, x); }
  static VLMFORGE_INLINE F splat(const T* p) { return _mm512_set1_ps(*p); }
  static VLMFORGE_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
};

struct Doubles : Plain<double> {
  using F = __m512d;
  static constexpr std::int64_t width = 8, rows = 14;
  static VLMFORGE_INLINE F zero() { return _mm512_setzero_pd(); }
  static VLMFORGE_INLINE F load(const T* p) { return _mm512_loadu_pd(p); }
  static VLMFORGE_INLINE void store(T* p, F x) { _mm512_storeu_pd(p, x); }
  static VLMFORGE_INLINE F splat(const T* p) { return _mm512_set1_pd(*p); }
  static VLMFORGE_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_pd(a, b, c); }
};

}  // namespace

constinit const RealKernels real_avx512 = all_kernels<Floats, Doubles, Avx512>("avx512", cpu_has_avx512vnni);

constinit const RealKernels real_avx512bf16 = [] {
  RealKernels kernels = all_kernels<Floats, Doubles, Avx512>("avx512", cpu_has_avx512bf16);
  kernels.product16 = product_avx512bf16;
  kernels.attention16 = attention_avx512bf16;
  return kernels;
}();

}  // namespace vlmforge::kernels
