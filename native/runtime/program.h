// A program as it is handed to the machine: verified, with resolved names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace vlmforge::runtime {

enum class DType : std::uint8_t { int8, uint8, int16, int32, int64, float32 };

std::size_t size_of(DType dtype);

// A fixed size, or a multiple of a dynamic dimension, whose size each request brings.
struct Dim {
  std::int64_t factor = 0;  // or the fixed size
  int symbol = -1;          // number of the dynamic dimension

  bool dynamic() const { return symbol >= 0; }
  bool operator==(const Dim&) const = default;
};

struct Buffer {
  std::string name;
  std::vector<Dim> shape;
  DType dtype;
};

// Memory of the program's file, kept alive by whoever made the program.
struct Tensor {
  const void* data;
  DType dtype;
  std::vector<std::int64_t> shape;

  template <class T>
  const T* as() const {
    return static_cast<const T*>(data);
  }
};

using Attribute =
    std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>>;

struct Instruction {
  std::string op;
  std::vector<int> inputs;  // buffers
  int output;               // buffer
  std::map<std::string, Tensor> tensors;
  std::map<std::string, Attribute> attributes;

  const Tensor* tensor(const std::string& role) const;  // null if absent
  bool has(const std::string& attribute) const;
  bool flag(const std::string& attribute) const;
  std::int64_t integer(const std::string& attribute) const;
  float number(const std::string& attribute) const;
  const std::vector<std::int64_t>& integers(const std::string& attribute) const;
};

struct Program {
  std::vector<Buffer> buffers;
  std::vector<Instruction> instructions;
  std::vector<int> inputs;   // buffers
  std::vector<int> outputs;  // buffers

  // Of each dynamic dimension the largest factor it occurs with.
  std::vector<std::int64_t> largest_factors() const;
};

// Throws std::invalid_argument unless the program's buffers and attributes are of sizes that the
// machine can count with.
void require_limits(const Program& program);

}  // namespace vlmforge::runtime
