// Operations that compute every element from those in the same place, or in the same block.
#include <stdexcept>
#include <utility>

#include "runtime/operation.h"

namespace vlmforge::runtime {
namespace {

using kernels::Range;

// Calls apply(frame, elements) for each thread's rows.
template <class Apply>
class Elementwise final : public Operation {
 public:
  Elementwise(Workshop& workshop, const Instruction& instruction, Dim rows, Apply apply)
      : shape_(workshop.output(instruction).shape), apply_(std::move(apply)) {
    Phase phase{{}, rows};
    for (const int input : instruction.inputs) {
      phase.accesses.push_back({workshop.storages.of(input), false, true});
    }
    phase.accesses.push_back({workshop.storages.of(instruction.output), true, true});
    phases_.push_back(std::move(phase));
  }

  void run(const Frame& frame, int, int thread) const override {
    const std::int64_t rows = frame.total(phases_[0].rows);
    if (rows == 0) return;
    const std::int64_t width = frame.elements(shape_) / rows;
    const Range own = share(rows, thread, frame.threads());
    if (own.first < own.last) apply_(frame, Range{own.first * width, own.last * width});
  }

 private:
  std::vector<Dim> shape_;
  Apply apply_;
};

template <class Apply>
OperationPointer elementwise(Workshop& workshop, const Instruction& instruction, Apply apply) {
  const Dim rows = row_dim(workshop.output(instruction).shape);
  return std::make_unique<Elementwise<Apply>>(workshop, instruction, rows, std::move(apply));
}

// Storages of the operands and the kind of the output.
struct Operands {
  int x, y, output;
  kernels::Element element;

  Operands(Workshop& workshop, const Instruction& instruction)
      : x(workshop.storages.of(instruction.inputs.front())),
        y(workshop.storages.of(instruction.inputs.back())),
        output(workshop.storages.of(instruction.output)),
        element(element_of(workshop.output(instruction).dtype)) {}
};

OperationPointer make_activation(Workshop& workshop, const Instruction& instruction,
                                 kernels::SiluKernel kernel) {
  const Operands o(workshop, instruction);
  const float scale = instruction.number("scale"), inverse = instruction.number("inverse_scale");
  const float zero_point =
      instruction.has("zero_point") ? static_cast<float>(instruction.integer("zero_point")) : 0.0F;
  return elementwise(workshop, instruction, [=](const Frame& frame, Range elements) {
    kernel({frame.storage<std::int16_t>(o.x), scale, inverse, zero_point,
            frame.storage<void>(o.output), o.element},
           elements);
  });
}

OperationPointer make_scaling(Workshop& workshop, const Instruction& instruction) {
  const Operands o(workshop, instruction);
  if (instruction.op == "quantize") {
    const auto kernel = workshop.kernels.quantize;
    const float scale = instruction.number("inverse_scale");
    return elementwise(workshop, instruction, [=](const Frame& frame, Range elements) {
      kernel({frame.storage<float>(o.x), scale, frame.storage<void>(o.output), o.element},
             elements);
    });
  }
  const auto kernel = workshop.kernels.requantize;
  const float scale = instruction.number("multiplier");
  return elementwise(workshop, instruction, [=](const Frame& frame, Range elements) {
    kernel({frame.storage<std::int16_t>(o.x), scale, frame.storage<void>(o.output), o.element},
           elements);
  });
}

OperationPointer make_binary(Workshop& workshop, const Instruction& instruction) {
  const Operands o(workshop, instruction);
  if (instruction.op == "add") {
    const auto kernel = workshop.kernels.add;
    const float a = instruction.number("multiplier_a"), b = instruction.number("multiplier_b");
    return elementwise(workshop, instruction, [=](const Frame& frame, Range elements) {
      kernel({frame.storage<std::int16_t>(o.x), frame.storage<std::int16_t>(o.y), a, b,
              frame.storage<void>(o.output), o.element},
             elements);
    });
  }
  const auto kernel = workshop.kernels.mul;
  const float scale = instruction.number("multiplier");
  return elementwise(workshop, instruction, [=](const Frame& frame, Range elements) {
    kernel({frame.storage<std::int16_t>(o.x), frame.storage<std::int16_t>(o.y), scale,
            frame.storage<void>(o.output), o.element},
           elements);
  });
}

}  // namespace

OperationPointer make_gate(Workshop& workshop, const Instruction& silu, const Instruction& mul) {
  const int gated = silu.inputs[0];
  const int up = mul.inputs[0] == silu.output ? mul.inputs[1] : mul.inputs[0];
  Instruction both = mul;
  both.inputs = {gated, up};
  const Operands o(workshop, both);
  const auto kernel = workshop.kernels.gate;
  const float scale = silu.number("scale"), inverse = silu.number("inverse_scale");
  const float multiplier = mul.number("multiplier");
  return elementwise(workshop, both, [=](const Frame& frame, Range elements) {
    kernel({frame.storage<std::int16_t>(o.x), frame.storage<std::int16_t>(o.y), scale, inverse,
            multiplier, frame.storage<void>(o.output), o.element},
           elements);
  });
}

OperationPointer make_hadamard(Workshop& workshop, const Instruction& instruction) {
  const Operands o(workshop, instruction);
  const auto kernel = workshop.kernels.hadamard;
  const std::int64_t block = instruction.integer("block");
  const float multiplier = instruction.number("multiplier");
  const auto apply = [=](const Frame& frame, Range elements) {
    kernel({frame.storage<std::int16_t>(o.x), block, multiplier, frame.storage<void>(o.output),
            o.element},
           Range{elements.first / block, elements.last / block});
  };
  // Whole rows, also where there is one: a thread's share is whole blocks.
  const Dim rows = workshop.output(instruction).shape[0];
  return std::make_unique<Elementwise<decltype(apply)>>(workshop, instruction, rows, apply);
}

OperationPointer make_elementwise(Workshop& workshop, const Instruction& instruction) {
  const std::string& op = instruction.op;
  if (op == "silu") return make_activation(workshop, instruction, workshop.kernels.silu);
  if (op == "gelu") return make_activation(workshop, instruction, workshop.kernels.gelu);
  if (op == "quick_gelu") {
    return make_activation(workshop, instruction, workshop.kernels.quick_gelu);
  }
  if (op == "gelu_tanh") return make_activation(workshop, instruction, workshop.kernels.gelu_tanh);
  if (op == "add" || op == "mul") return make_binary(workshop, instruction);
  return make_scaling(workshop, instruction);
}

}  // namespace vlmforge::runtime
