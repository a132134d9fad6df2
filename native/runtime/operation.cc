#include "runtime/operation.h"

#include <stdexcept>
#include <utility>

namespace vlmforge::runtime {
namespace {

std::string signature_of(const Buffer& buffer) {
  std::string text = std::to_string(size_of(buffer.dtype));
  for (const Dim dim : buffer.shape) {
    if (dim == Dim{1}) continue;
    text += dim.dynamic() ? " dynamic " + std::to_string(dim.symbol) + " times " : " ";
    text += std::to_string(dim.factor);
  }
  return text;
}

OperationPointer make_reshape(Workshop& workshop, const Instruction& instruction) {
  workshop.storages.alias(instruction.output, instruction.inputs[0]);
  return nullptr;
}

OperationPointer make_constant(Workshop& workshop, const Instruction& instruction) {
  workshop.storages.constant(instruction.output, instruction.tensor("value")->data);
  return nullptr;
}

using Maker = OperationPointer (*)(Workshop&, const Instruction&);

const std::map<std::string, Maker>& makers() {
  static const std::map<std::string, Maker> table{
      {"reshape", make_reshape},       {"constant", make_constant},
      {"quantize", make_elementwise},  {"requantize", make_elementwise},
      {"add", make_elementwise},       {"mul", make_elementwise},
      {"silu", make_elementwise},      {"gelu", make_elementwise},
      {"quick_gelu", make_elementwise}, {"gelu_tanh", make_elementwise},
      {"hadamard", make_hadamard},
      {"rms_norm", make_norm},         {"layer_norm", make_norm},
      {"rope", make_rope},             {"rope_lookup", make_rope_lookup},
      {"gather_rows", make_gather_rows}, {"attention", make_attention},
      {"linear", make_product},        {"conv2d", make_product},
  };
  return table;
}

}  // namespace

Storages::Storages(const Program& program)
    : program_(program), buffers_(program.buffers.size(), -1) {}

int Storages::of(int buffer) {
  int& storage = buffers_[static_cast<std::size_t>(buffer)];
  if (storage < 0) {
    const Buffer& kind = program_.buffers[static_cast<std::size_t>(buffer)];
    storage = add([&kind](const Frame& frame) { return frame.bytes(kind); }, signature_of(kind));
  }
  return storage;
}

void Storages::alias(int buffer, int other) {
  buffers_[static_cast<std::size_t>(buffer)] = of(other);
}

void Storages::constant(int buffer, const void* data) {
  entries_[static_cast<std::size_t>(of(buffer))].fixed = data;
}

int Storages::add(Size size, std::string signature) {
  entries_.push_back({std::move(size), std::move(signature)});
  return count() - 1;
}

Dim row_dim(const std::vector<Dim>& shape) {
  for (const Dim dim : shape) {
    if (dim != Dim{1}) return dim;
  }
  return {1};
}

kernels::Element element_of(DType dtype) {
  switch (dtype) {
    case DType::int8: return kernels::Element::int8;
    case DType::int16: return kernels::Element::int16;
    case DType::float32: return kernels::Element::float32;
    default: throw std::invalid_argument("no kernel works on this dtype");
  }
}

OperationPointer make_operation(Workshop& workshop, const Instruction& instruction) {
  const auto found = makers().find(instruction.op);
  if (found == makers().end()) throw std::invalid_argument("unknown operation " + instruction.op);
  return found->second(workshop, instruction);
}

}  // namespace vlmforge::runtime
