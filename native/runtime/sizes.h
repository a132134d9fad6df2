// Sizes of memory: arithmetic that fails where it would wrap around.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>

namespace vlmforge::runtime {

// More memory than there is. `bytes` were asked for; kUncountable stands for more than that.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::size_t bytes) : bytes_(bytes) {}

  std::size_t bytes() const { return bytes_; }
  const char* what() const noexcept override { return "there is not enough memory"; }

 private:
  std::size_t bytes_;
};

constexpr std::size_t kUncountable = std::numeric_limits<std::size_t>::max();

// Most rows of all requests of a run together, and positions of a cache. With the limits that
// require_limits holds a program to, kernels can then count bytes without overflow.
constexpr std::int64_t kMaxRows = std::int64_t{1} << 40;

inline std::size_t times(std::size_t a, std::size_t b) {
  std::size_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) throw OutOfMemory(kUncountable);
  return product;
}

inline std::size_t plus(std::size_t a, std::size_t b) {
  std::size_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) throw OutOfMemory(kUncountable);
  return sum;
}

// A count that is known not to be negative, or that no memory could hold.
inline std::size_t counted(std::int64_t rows) {
  if (rows < 0 || rows > kMaxRows) throw OutOfMemory(kUncountable);
  return static_cast<std::size_t>(rows);
}

}  // namespace vlmforge::runtime
