#include "runtime/program.h"

#include <algorithm>
#include <stdexcept>

namespace vlmforge::runtime {

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::int8:
    case DType::uint8: return 1;
    case DType::int16: return 2;
    case DType::int32:
    case DType::float32: return 4;
    case DType::int64: return 8;
  }
  throw std::logic_error("unknown dtype");
}

std::vector<std::int64_t> Program::largest_factors() const {
  std::vector<std::int64_t> factors;
  for (const Buffer& buffer : buffers) {
    for (const Dim dim : buffer.shape) {
      if (!dim.dynamic()) continue;
      const auto symbol = static_cast<std::size_t>(dim.symbol);
      factors.resize(std::max(factors.size(), symbol + 1), 1);
      factors[symbol] = std::max(factors[symbol], dim.factor);
    }
  }
  return factors;
}

const Tensor* Instruction::tensor(const std::string& role) const {
  const auto found = tensors.find(role);
  return found == tensors.end() ? nullptr : &found->second;
}

bool Instruction::has(const std::string& attribute) const {
  return attributes.contains(attribute);
}

bool Instruction::flag(const std::string& attribute) const {
  return std::get<bool>(attributes.at(attribute));
}

std::int64_t Instruction::integer(const std::string& attribute) const {
  return std::get<std::int64_t>(attributes.at(attribute));
}

float Instruction::number(const std::string& attribute) const {
  return static_cast<float>(std::get<double>(attributes.at(attribute)));
}

const std::vector<std::int64_t>& Instruction::integers(const std::string& attribute) const {
  return std::get<std::vector<std::int64_t>>(attributes.at(attribute));
}

}  // namespace vlmforge::runtime
