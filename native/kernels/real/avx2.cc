#include <immintrin.h>

#include "kernels/linear/cpu.h"
#include "kernels/real/kernels.h"
#include "kernels/simd/avx2.h"

namespace vlmforge::kernels {
namespace {

struct Floats : Plain<float> {
  using F = __m256;
  static constexpr std::int64_t width = 8, rows = 6;
  static VLMFORGE_INLINE F zero() { return _mm256_setzero_ps(); }
  static VLMFORGE_INLINE F load(const T* p) { return _mm256_loadu_ps(p); }
  static VLMFORGE_INLINE void store(T* p, F x) { _mm256_storeu_ps(p, x); }
  static VLMFORGE_INLINE F splat(const T* p) { return _mm256_broadcast_ss(p); }
  static VLMFORGE_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
};

struct Doubles : Plain<double> {
  using F = __m256d;
  static constexpr std::int64_t width = 4, rows = 6;
  static VLMFORGE_INLINE F zero() { return _mm256_setzero_pd(); }
  static VLMFORGE_INLINE F load(const T* p) { return _mm256_loadu_pd(p); }
  static VLMFORGE_INLINE void store(T* p, F x) { _mm256_storeu_pd(p, x); }
  static VLMFORGE_INLINE F splat(const T* p) { return _mm256_broadcast_sd(p); }
  static VLMFORGE_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_pd(a, b, c); }
};

}  // namespace

constinit const RealKernels real_avx2 = all_kernels<Floats, Doubles, Avx2>("avx2", cpu_has_avx2);

}  // namespace vlmforge::kernels
