// What a program may ask for. The verifier in Python refuses more, and tells why; here it is held
// again, as memory is counted and reached with these numbers.
#include <stdexcept>

#include "runtime/program.h"
#include "runtime/sizes.h"

namespace vlmforge::runtime {
namespace {

constexpr std::size_t kMaxBuffers = std::size_t{1} << 14;
constexpr std::size_t kMaxRank = 8;
constexpr std::int64_t kMaxSize = (std::int64_t{1} << 31) - 1;
constexpr std::int64_t kMaxFactor = std::int64_t{1} << 16;
constexpr int kMaxSymbols = 1 << 17;  // as many as buffers have dimensions
constexpr std::size_t kMaxBufferBytes = std::size_t{1} << 36;
constexpr std::size_t kMaxProgramBytes = std::size_t{1} << 40;
constexpr std::int64_t kMaxFeatures = 65536;
constexpr std::int64_t kMaxHeadDim = 1024;

void require(bool holds, const std::string& name, const char* rule) {
  if (!holds) throw std::invalid_argument(name + " breaks the rule that " + rule);
}

void require_dim(const Dim dim, const std::string& name) {
  require(dim.symbol >= -1 && dim.symbol < kMaxSymbols, name, "dynamic dimensions are numbered");
  require(!dim.dynamic() || (dim.factor > 0 && dim.factor <= kMaxFactor), name,
          "factors are 1 to 2^16");
  require(dim.factor > 0 && dim.factor <= kMaxSize, name, "sizes are positive and fit 31 bits");
}

// With every dynamic dimension counted as its factor.
std::size_t bytes_of(const Buffer& buffer) {
  require(buffer.shape.size() <= kMaxRank, buffer.name, "a buffer has at most 8 dimensions");
  std::size_t bytes = size_of(buffer.dtype);
  for (const Dim dim : buffer.shape) {
    require_dim(dim, buffer.name);
    bytes = times(bytes, static_cast<std::size_t>(dim.factor));
    require(bytes <= kMaxBufferBytes, buffer.name, "a buffer has at most 2^36 bytes");
  }
  return bytes;
}

void require_attributes(const Instruction& instruction) {
  for (const auto& [name, value] : instruction.attributes) {
    const std::int64_t* const number = std::get_if<std::int64_t>(&value);
    if (number == nullptr) continue;
    std::int64_t largest = kMaxSize;
    if (name == "in_features") largest = kMaxFeatures;
    if (name == "head_dim") largest = kMaxHeadDim;
    require(*number <= largest && *number >= -kMaxSize, instruction.op, "attributes are in range");
  }
}

}  // namespace

void require_limits(const Program& program) {
  require(program.buffers.size() <= kMaxBuffers, "the program", "it has at most 16384 buffers");
  std::size_t bytes = 0;
  for (const Buffer& buffer : program.buffers) bytes = plus(bytes, bytes_of(buffer));
  require(bytes <= kMaxProgramBytes, "the program", "its buffers have at most 2^40 bytes");
  for (const Instruction& each : program.instructions) require_attributes(each);
}

}  // namespace vlmforge::runtime
