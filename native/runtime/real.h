// The kernels of real numbers on several threads. How the work is shared changes no bit.
#pragma once

#include <cstdint>

#include "kernels/real/real.h"

namespace vlmforge::runtime {

class Real {
 public:
  Real(const kernels::RealKernels& kernels, int threads) : kernels_(kernels), threads_(threads) {}

  void product(const kernels::RealProduct<float>& step) const;
  void product(const kernels::RealProduct<double>& step) const;
  void product16(const kernels::RealProduct<float>& step) const;  // of operands rounded to bfloat16
  void sum(const float* x, std::int64_t rows, std::int64_t columns, float* sums) const;
  void sum(const double* x, std::int64_t rows, std::int64_t columns, double* sums) const;
  void rms_norm(const kernels::RealNorm& step, std::int64_t rows) const;
  void layer_norm(const kernels::RealNorm& step, std::int64_t rows) const;
  void attention(const kernels::RealAttention& step, bool rounded) const;  // to bfloat16
  void hadamard(const float* x, std::int64_t blocks, std::int64_t block, float* output) const;
  void apply(kernels::RealFunction function, const float* x, float* output,
             std::int64_t elements) const;
  void round(const kernels::RealRounding& step, std::int64_t outputs) const;
  void descend(const kernels::RealDescent& step, std::int64_t outputs) const;

 private:
  const kernels::RealKernels& kernels_;
  int threads_;
};

}  // namespace vlmforge::runtime
