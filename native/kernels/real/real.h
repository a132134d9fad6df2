// Arithmetic of real numbers for the compiler, with the same bits on every instruction set: each
// element of a result is rounded operation by operation, in the order that docs/numbers.md states.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/types.h"

namespace vlmforge::kernels {

// A matrix that is read; element [i, j] is data[i * row + j * column].
template <class T>
struct Matrix {
  const T* data;
  std::int64_t row, column;
};

// What becomes of the output c: c = ab, c = c + ab or c = c - ab.
enum class Into : std::uint8_t { replaced, added, subtracted };

// a [m, k] times b [k, n] into c [m, n], whose rows are c_row apart and do not overlap a or b.
template <class T>
struct RealProduct {
  Matrix<T> a, b;
  T* c;
  std::int64_t c_row;
  std::int64_t m, n, k;
  Into into;
};

// Float32 rows [rows, columns], normalized each alone, into an output of the same shape.
struct RealNorm {
  const float* x;
  std::int64_t columns;
  float epsilon;
  float* output;
};

// Attention of float32 rows q [rows, heads * dim] to keys and values [keys, kv_heads * dim].
struct RealAttention {
  const float *q, *k, *v;
  std::int64_t rows, keys, heads, kv_heads, dim;
  const std::int64_t* visible;  // [rows, 2]: row i sees the keys visible[i, 0] <= j < visible[i, 1]
  float scale;
  float* output;  // [rows, heads * dim]

  std::int64_t blocks() const { return (rows + kBlock - 1) / kBlock; }
  static constexpr std::int64_t kBlock = 256;  // rows of a head that attend together
};

// The least block of a transform that the kernels know: the elements of the widest vector.
inline constexpr std::int64_t kLeastHadamardBlock = 16;

enum class RealFunction : std::uint8_t { sigmoid, silu, gelu, quick_gelu, gelu_tanh };

// Rounds columns of a weight one after the other, each error carried to those behind it: error
// compensation within a block. All are [columns, outputs], with rows stride apart.
struct RealRounding {
  float* weight;         // what is left to round; errors are carried within it
  const float* scale;    // [outputs]
  const float* factor;   // [columns, columns], upper triangular, rows factor_row apart
  std::int64_t factor_row;
  float* codes;
  float* errors;
  std::int64_t columns, stride;
  float lowest, largest;
};

// Visits the codes of a block of columns one after the other: coordinate descent.
struct RealDescent {
  float* gradient;       // [columns, outputs]: what the errors make of the output
  const float* hessian;  // [columns, columns], rows hessian_row apart
  std::int64_t hessian_row;
  const float* scale;    // of column i at scale + i * scale_row; [outputs]
  std::int64_t scale_row;
  float* codes;          // [columns, outputs]
  float* errors;         // of the weight
  std::int64_t columns, stride;
  float lowest, largest;
};

// Counts the sizes of float32 rows [rows, columns] in bins: their bits without the last `shift`.
// Not of an instruction set. Elements that are not finite are left out.
struct RealSizes {
  const float* x;
  std::int64_t rows, columns;
  const float* weights;    // [rows]
  int shift;
  double* elements;        // += 1 for each element
  double* weighted;        // += its row's weight

  // How many were not finite.
  std::int64_t count() const;
};

struct RealKernels {
  std::string_view name;
  bool (*supported)();
  void (*product32)(const RealProduct<float>& step, Range rows, Range columns);
  void (*product64)(const RealProduct<double>& step, Range rows, Range columns);
  void (*product16)(const RealProduct<float>& step, Range rows, Range columns);  // of bfloat16
  void (*sum32)(const float* x, std::int64_t columns, float* sums, Range rows);
  void (*sum64)(const double* x, std::int64_t columns, double* sums, Range rows);
  void (*rms_norm)(const RealNorm& step, Range rows);
  void (*layer_norm)(const RealNorm& step, Range rows);
  void (*attention)(const RealAttention& step, Range tasks);    // heads() * blocks() of them
  void (*attention16)(const RealAttention& step, Range tasks);  // its products of bfloat16
  void (*hadamard)(const float* x, std::int64_t block, float* output, Range blocks);
  void (*apply)(RealFunction function, const float* x, float* output, Range elements);
  void (*round)(const RealRounding& step, Range outputs);
  void (*descend)(const RealDescent& step, Range outputs);
};

extern const RealKernels real_scalar, real_avx2, real_avx512, real_avx512bf16, real_neon;

// Those that run here, fastest first; the last is "scalar".
std::vector<const RealKernels*> real_kernels();

// Those that go with an instruction set of table.h; null if it does not run here.
const RealKernels* real_kernels_of(std::string_view isa);

}  // namespace vlmforge::kernels
