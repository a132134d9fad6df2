#include <arm_neon.h>

#include "kernels/linear/cpu.h"
#include "kernels/real/rounding.h"
#include "kernels/real/rows.h"
#include "kernels/simd/neon.h"

namespace vlmforge::kernels {
namespace {

struct Floats {
  using T = float;
  using F = float32x4_t;
  static constexpr std::int64_t width = 4, rows = 12;
  static VLMFORGE_INLINE F zero() { return vdupq_n_f32(0); }
  static VLMFORGE_INLINE F load(const T* p) { return vld1q_f32(p); }
  static VLMFORGE_INLINE void store(T* p, F x) { vst1q_f32(p, x); }
  static VLMFORGE_INLINE F splat(const T* p) { return vld1q_dup_f32(p); }
  static VLMFORGE_INLINE F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
};

struct Doubles {
  using T = double;
  using F = float64x2_t;
  static constexpr std::int64_t width = 2, rows = 12;
  static VLMFORGE_INLINE F zero() { return vdupq_n_f64(0); }
  static VLMFORGE_INLINE F load(const T* p) { return vld1q_f64(p); }
  static VLMFORGE_INLINE void store(T* p, F x) { vst1q_f64(p, x); }
  static VLMFORGE_INLINE F splat(const T* p) { return vld1q_dup_f64(p); }
  static VLMFORGE_INLINE F fma(F a, F b, F c) { return vfmaq_f64(c, a, b); }
};

constexpr RealKernels kernels_of_neon() {
  return {"neon",
          cpu_has_neon_dotprod,
          product<Floats>,
          product<Doubles>,
          sum_rows<float>,
          sum_rows<double>,
          real_rms_norm,
          real_layer_norm,
          real_attention<Floats, Neon>,
          apply_function<Neon>,
          round_columns,
          descend_columns};
}

}  // namespace

const RealKernels real_neon = kernels_of_neon();

}  // namespace vlmforge::kernels
