// Products of codes for the compiler, exact until they are rounded once, on several threads.
#pragma once

#include <cstdint>

#include "kernels/linear/linear.h"

namespace vlmforge::runtime {

class Whole {
 public:
  Whole(const kernels::LinearVariant& linear, int threads) : linear_(linear), threads_(threads) {}

  // y [rows, out_features] of rows x: real numbers, which are the sums times the multipliers.
  void product(const kernels::Rows& x, const kernels::LinearWeight& weight, float* y) const;

  // Adds x'x of codes x [rows, columns] to the upper triangle of sums [columns, columns]; below it
  // some blocks change too. Codes are in [-127, 127], and no sum exceeds 32 bits.
  void add_gram(const std::int8_t* x, std::int64_t rows, std::int64_t columns,
                std::int32_t* sums) const;

 private:
  const kernels::LinearVariant& linear_;
  int threads_;
};

}  // namespace vlmforge::runtime
