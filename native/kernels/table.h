// The kernels of one instruction set, and the choice among those the processor has.
#pragma once

#include <string_view>
#include <vector>

#include "kernels/activation/activation.h"
#include "kernels/add/add.h"
#include "kernels/attention/attention.h"
#include "kernels/gate/gate.h"
#include "kernels/hadamard/hadamard.h"
#include "kernels/linear/linear.h"
#include "kernels/mul/mul.h"
#include "kernels/norm/norm.h"
#include "kernels/quantize/quantize.h"
#include "kernels/requantize/requantize.h"
#include "kernels/rope/rope.h"

namespace vlmforge::kernels {

struct Kernels {
  std::string_view name;  // "scalar", "avx2", "avxvnni", "avx512" or "neon"
  bool (*supported)();    // by this processor and its operating system
  QuantizeKernel quantize;
  RequantizeKernel requantize;
  AddKernel add;
  MulKernel mul;
  SiluKernel silu;
  GeluKernel gelu;
  QuickGeluKernel quick_gelu;
  GeluTanhKernel gelu_tanh;
  GateKernel gate;
  HadamardKernel hadamard;
  RmsNormKernel rms_norm;
  LayerNormKernel layer_norm;
  RopeKernel rope;
  AttentionKernel attention;
  std::string_view linear;  // what names of its variants of linear_variants() begin with
};

// Those that run here, fastest first; the last is "scalar".
std::vector<const Kernels*> supported_kernels();

// The fastest variant whose name begins so; null if none runs here.
const LinearVariant* linear_variant(std::string_view name);

}  // namespace vlmforge::kernels
