// Operations on whole rows: norms, rotary embedding, and those that move rows.
#include <cstring>
#include <utility>

#include "runtime/operation.h"

namespace vlmforge::runtime {
namespace {

using kernels::Range;

const float* floats(const Instruction& instruction, const std::string& role) {
  const Tensor* const tensor = instruction.tensor(role);
  return tensor == nullptr ? nullptr : tensor->as<float>();
}

// The first index outside [0, limit) of a request's part of an index buffer.
std::optional<Violation> check_indexes(const std::int64_t* index, std::int64_t count,
                                       std::int64_t limit) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (index[i] < 0 || index[i] >= limit) return Violation{index[i], limit};
  }
  return std::nullopt;
}

class NormOperation final : public Operation {
 public:
  NormOperation(Workshop& workshop, const Instruction& instruction)
      : x_(workshop.storages.of(instruction.inputs[0])),
        output_(workshop.storages.of(instruction.output)) {
    const Buffer& x = workshop.input(instruction, 0);
    const bool rms = instruction.op == "rms_norm";
    kernel_ = rms ? workshop.kernels.rms_norm : workshop.kernels.layer_norm;
    step_.columns = x.shape[1].factor;
    step_.group = instruction.has("group") ? instruction.integer("group") : step_.columns;
    step_.epsilon = instruction.number("epsilon");
    step_.multiplier = instruction.has("multiplier") ? instruction.number("multiplier") : 0.0F;
    step_.gain = floats(instruction, "gain");
    step_.bias = floats(instruction, "bias");
    step_.element = element_of(workshop.output(instruction).dtype);
    phases_.push_back({{{x_, false, true}, {output_, true, true}}, x.shape[0]});
  }

  void run(const Frame& frame, int, int thread) const override {
    kernels::Norm step = step_;
    step.x = frame.storage<std::int16_t>(x_);
    step.output = frame.storage<void>(output_);
    kernel_(step, share(frame.total(phases_[0].rows), thread, frame.threads()));
  }

 private:
  int x_, output_;
  kernels::RmsNormKernel kernel_;
  kernels::Norm step_{};
};

class RopeOperation final : public Operation {
 public:
  RopeOperation(Workshop& workshop, const Instruction& instruction)
      : x_(workshop.storages.of(instruction.inputs[0])),
        rows_(workshop.storages.of(instruction.inputs[1])),
        output_(workshop.storages.of(instruction.output)),
        kernel_(workshop.kernels.rope) {
    const Buffer& x = workshop.input(instruction, 0);
    step_.head_dim = instruction.integer("head_dim");
    step_.heads = x.shape[1].factor / step_.head_dim;
    step_.multiplier = floats(instruction, "multiplier");
    step_.offset = floats(instruction, "offset");
    phases_.push_back(
        {{{x_, false, true}, {rows_, false, true}, {output_, true, true}}, x.shape[0]});
  }

  void run(const Frame& frame, int, int thread) const override {
    kernels::Rope step = step_;
    step.x = frame.storage<std::int16_t>(x_);
    step.rows = frame.storage<float>(rows_);
    step.output = frame.storage<std::int8_t>(output_);
    kernel_(step, share(frame.total(phases_[0].rows), thread, frame.threads()));
  }

 private:
  int x_, rows_, output_;
  kernels::RopeKernel kernel_;
  kernels::Rope step_{};
};

class RopeLookup final : public Operation {
 public:
  RopeLookup(Workshop& workshop, const Instruction& instruction)
      : ids_(workshop.storages.of(instruction.inputs[0])),
        output_(workshop.storages.of(instruction.output)),
        cos_(*instruction.tensor("cos")),
        sin_(*instruction.tensor("sin")) {
    const auto& sections = instruction.integers("sections");
    for (std::size_t i = 0; i < sections.size(); ++i) {
      streams_.insert(streams_.end(), static_cast<std::size_t>(sections[i]), static_cast<int>(i % 3));
    }
    const Dim rows = workshop.input(instruction, 0).shape[1];
    phases_.push_back({{{ids_, false, false}, {output_, true, true}}, rows});
  }

  std::optional<Violation> check(const Frame& frame) const override {
    const std::int64_t total = frame.total(phases_[0].rows);
    return check_indexes(frame.storage<std::int64_t>(ids_), 3 * total, cos_.shape[0]);
  }

  void run(const Frame& frame, int, int thread) const override {
    const std::int64_t total = frame.total(phases_[0].rows);
    const Range rows = share(total, thread, frame.threads());
    const std::int64_t* const ids = frame.storage<std::int64_t>(ids_);
    const std::int64_t columns = static_cast<std::int64_t>(streams_.size());
    for (std::int64_t row = rows.first; row < rows.last; ++row) {
      float* const cos = frame.storage<float>(output_) + row * 4 * columns;
      float* const sin = cos + 2 * columns;
      for (std::int64_t c = 0; c < columns; ++c) {
        const std::int64_t at = ids[streams_[static_cast<std::size_t>(c)] * total + row] * columns;
        cos[c] = cos[columns + c] = cos_.as<float>()[at + c];
        sin[c] = sin[columns + c] = sin_.as<float>()[at + c];
      }
    }
  }

 private:
  int ids_, output_;
  Tensor cos_, sin_;
  std::vector<int> streams_;  // of each column
};

class GatherRows final : public Operation {
 public:
  GatherRows(Workshop& workshop, const Instruction& instruction)
      : x_(workshop.storages.of(instruction.inputs[0])),
        index_(workshop.storages.of(instruction.inputs[1])),
        output_(workshop.storages.of(instruction.output)),
        x_rows_(workshop.input(instruction, 0).shape[0]),
        shape_(workshop.output(instruction).shape),
        element_bytes_(size_of(workshop.output(instruction).dtype)) {
    phases_.push_back(
        {{{x_, false, false}, {index_, false, false}, {output_, true, true}}, shape_[0]});
  }

  std::optional<Violation> check(const Frame& frame) const override {
    for (int request = 0; request < frame.requests(); ++request) {
      const std::int64_t* const index = frame.storage<std::int64_t>(index_);
      const auto found = check_indexes(index + frame.begin(shape_[0], request),
                                       frame.count(shape_[0], request),
                                       frame.count(x_rows_, request));
      if (found) return found;
    }
    return std::nullopt;
  }

  void run(const Frame& frame, int, int thread) const override {
    const std::int64_t total = frame.total(shape_[0]);
    if (total == 0) return;
    const Range own = share(total, thread, frame.threads());
    const std::size_t row_bytes =
        static_cast<std::size_t>(frame.elements(shape_) / total) * element_bytes_;
    for (int request = 0; request < frame.requests(); ++request) {
      const std::int64_t begin = frame.begin(shape_[0], request);
      const std::int64_t end = begin + frame.count(shape_[0], request);
      const std::int64_t first = own.first > begin ? own.first : begin;
      const std::int64_t last = own.last < end ? own.last : end;
      for (std::int64_t row = first; row < last; ++row) {
        const std::int64_t from =
            frame.begin(x_rows_, request) + frame.storage<std::int64_t>(index_)[row];
        std::memcpy(frame.storage<std::byte>(output_) + static_cast<std::size_t>(row) * row_bytes,
                    frame.storage<std::byte>(x_) + static_cast<std::size_t>(from) * row_bytes,
                    row_bytes);
      }
    }
  }

 private:
  int x_, index_, output_;
  Dim x_rows_;
  std::vector<Dim> shape_;
  std::size_t element_bytes_;
};

}  // namespace

OperationPointer make_norm(Workshop& workshop, const Instruction& instruction) {
  return std::make_unique<NormOperation>(workshop, instruction);
}

OperationPointer make_rope(Workshop& workshop, const Instruction& instruction) {
  return std::make_unique<RopeOperation>(workshop, instruction);
}

OperationPointer make_rope_lookup(Workshop& workshop, const Instruction& instruction) {
  return std::make_unique<RopeLookup>(workshop, instruction);
}

OperationPointer make_gather_rows(Workshop& workshop, const Instruction& instruction) {
  return std::make_unique<GatherRows>(workshop, instruction);
}

}  // namespace vlmforge::runtime
