#include <arm_neon.h>

#include "kernels/linear/cpu.h"
#include "kernels/real/kernels.h"
#include "kernels/simd/neon.h"

namespace vlmforge::kernels {
namespace {

struct Floats : Plain<float> {
  using F = float32x4_t;
  static constexpr std::int64_t width = 4, rows = 12;
  static VLMFORGE_INLINE F zero() { return vdupq_n_f32(0); }
  static VLMFORGE_INLINE F load(const T* p) { return vld1q_f32(p); }
  static VLMFORGE_INLINE void store(T* p, F x) { vst1q_f32(p, x); }
  static VLMFORGE_INLINE F splat(const T* p) { return vld1q_dup_f32(p); }
  static VLMFORGE_INLINE F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
};

struct Doubles : Plain<double> {
  using F = float64x2_t;
  static constexpr std::int64_t width = 2, rows = 12;
  static VLMFORGE_INLINE F zero() { return vdupq_n_f64(0); }
  static VLMFORGE_INLINE F load(const T* p) { return vld1q_f64(p); }
  static VLMFORGE_INLINE void store(T* p, F x) { vst1q_f64(p, x); }
  static VLMFORGE_INLINE F splat(const T* p) { return vld1q_dup_f64(p); }
  static VLMFORGE_INLINE F fma(F a, F b, F c) { return vfmaq_f64(c, a, b); }
};

}  // namespace

constinit const RealKernels real_neon = all_kernels<Floats, Doubles, Neon>("neon", cpu_has_neon_dotprod);

}  // namespace vlmforge::kernels
