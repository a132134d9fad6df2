// linear and conv2d: rows are packed, then multiplied with blocks of output channels.
#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/operation.h"
#include "runtime/sizes.h"

namespace vlmforge::runtime {
namespace {

using kernels::Range;

// Parts of a product for each thread: as many as make up for one that is held up.
constexpr std::int64_t kPartsOfThread = 8;

// Multiply-adds of a part at least, or taking it costs as much as doing it.
constexpr std::int64_t kLeastWork = 1 << 16;

kernels::LinearWeight weight_of(const Instruction& instruction) {
  kernels::LinearWeight weight{};
  const Tensor& codes = *instruction.tensor("weight");
  weight.codes = codes.data;
  weight.kind =
      codes.dtype == DType::int8 ? kernels::WeightKind::int8 : kernels::WeightKind::int4;
  if (const Tensor* const scale = instruction.tensor("group_scale")) {
    weight.group_scale = scale->as<std::int8_t>();
    weight.group = static_cast<std::int32_t>(instruction.integer("group"));
  }
  weight.multiplier = instruction.tensor("multiplier")->as<float>();
  if (const Tensor* const bias = instruction.tensor("bias")) {
    if (bias->dtype == DType::int32) weight.bias32 = bias->as<std::int32_t>();
    if (bias->dtype == DType::int64) weight.bias64 = bias->as<std::int64_t>();
  }
  weight.in_features = instruction.integer("in_features");
  weight.out_features = instruction.integer("out_features");
  return weight;
}

// Patches of an image [H, W, C] as rows.
struct Patches {
  std::int64_t height, width;  // of the kernel
  std::int64_t columns;        // patches side by side
  std::int64_t line_bytes;     // of a kernel's line: adjacent pixels are adjacent in memory

  void gather(const std::byte* image, Range rows, std::byte* output) const {
    for (std::int64_t row = rows.first; row < rows.last; ++row) {
      const std::byte* from =
          image + (row / columns * height * columns + row % columns) * line_bytes;
      std::byte* to = output + row * height * line_bytes;
      for (std::int64_t y = 0; y < height; ++y) {
        std::memcpy(to, from, static_cast<std::size_t>(line_bytes));
        from += columns * line_bytes;
        to += line_bytes;
      }
    }
  }
};

class Product final : public Operation {
 public:
  Product(Workshop& workshop, const Instruction& instruction)
      : linear_(workshop.linear),
        weight_(weight_of(instruction)),
        rows_(workshop.output(instruction).shape[0]),
        source_(workshop.storages.of(instruction.inputs[0])),
        x_(source_),
        output_(workshop.storages.of(instruction.output)),
        x_element_(element_of(workshop.input(instruction, 0).dtype)),
        y_element_(element_of(workshop.output(instruction).dtype)),
        work_(workshop.work++) {
    if (instruction.op == "conv2d") add_gathering(workshop, instruction);
    add_packing(workshop);
    add(Task::compute, {{{packed_, false, false}, {output_, true, false}}, rows_});
  }

  std::size_t scratch_bytes(const Frame&) const override { return linear_.scratch_bytes(weight_); }

  void run(const Frame& frame, int phase, int thread) const override {
    const std::int64_t count = frame.total(rows_);
    if (count == 0) return;
    switch (tasks_[static_cast<std::size_t>(phase)]) {
      case Task::gather:
        patches_.gather(frame.storage<std::byte>(source_), share(count, thread, frame.threads()),
                        frame.storage<std::byte>(x_));
        break;
      case Task::pack: pack(frame, count, thread); break;
      case Task::compute: compute(frame, count, thread); break;
    }
  }

 private:
  enum class Task { gather, pack, compute };

  void add(Task task, Phase phase) {
    tasks_.push_back(task);
    phases_.push_back(std::move(phase));
  }

  void add_gathering(Workshop& workshop, const Instruction& instruction) {
    const Buffer& image = workshop.input(instruction, 0);
    const auto& kernel = instruction.integers("kernel");
    const std::int64_t element_bytes = static_cast<std::int64_t>(size_of(image.dtype));
    patches_ = {kernel[0], kernel[1], image.shape[1].factor / kernel[1],
                kernel[1] * image.shape[2].factor * element_bytes};
    const Dim rows = rows_;
    const std::int64_t bytes = patches_.height * patches_.line_bytes;
    x_ = workshop.storages.add(
        [=](const Frame& frame) {
          return times(static_cast<std::size_t>(bytes), counted(frame.total(rows)));
        },
        "patches");
    add(Task::gather, {{{source_, false, false}, {x_, true, true}}, rows_});
  }

  // The packed form of activations that several products read is made once.
  void add_packing(Workshop& workshop) {
    const auto found = workshop.packed.find({x_, weight_.in_features});
    if (found != workshop.packed.end()) {
      packed_ = found->second;
      return;
    }
    const auto size = linear_.packed_bytes;
    const auto element = x_element_;
    const std::int64_t features = weight_.in_features;
    const Dim rows = rows_;
    packed_ = workshop.storages.add(
        [=](const Frame& frame) { return size(element, frame.total(rows), features); },
        "packed " + std::to_string(features));
    workshop.packed.emplace(std::pair{x_, features}, packed_);
    add(Task::pack, {{{x_, false, true}, {packed_, true, true}}, rows_, false});
  }

  void pack(const Frame& frame, std::int64_t count, int thread) const {
    const std::int64_t unit = linear_.row_unit(x_element_, count);
    const Range rows = share(count, thread, frame.threads(), unit);
    if (rows.first >= rows.last) return;
    const std::int64_t features = weight_.in_features;
    linear_.prepare({frame.storage<void>(x_), x_element_, count, features, features}, rows,
                    frame.storage<std::byte>(packed_));
  }

  // How a product is divided: by output channels, or by rows where those are more.
  struct Division {
    bool by_blocks;
    std::int64_t items, unit;  // blocks or rows, in steps of so many
    int count;                 // of parts

    Range items_of(Range parts) const {
      return {share(items, static_cast<int>(parts.first), count, unit).first,
              share(items, static_cast<int>(parts.last) - 1, count, unit).last};
    }
  };

  Division division(const Frame& frame, std::int64_t count) const {
    const std::int64_t blocks = kernels::linear_blocks(weight_), unit = linear_.block_unit;
    const std::int64_t row_unit = linear_.row_unit(x_element_, count);
    const bool by_blocks = blocks >= unit * frame.threads() || count <= row_unit;
    const std::int64_t items = by_blocks ? blocks : count, step = by_blocks ? unit : row_unit;
    const double work = static_cast<double>(count) * static_cast<double>(weight_.in_features) *
                        static_cast<double>(weight_.out_features);
    const std::int64_t most = std::min((items + step - 1) / step, frame.threads() * kPartsOfThread);
    const auto parts = static_cast<int>(std::clamp<double>(work / kLeastWork, 1, most));
    return {by_blocks, items, step, parts};
  }

  // A thread reads its own parts as one stream.
  void compute(const Frame& frame, std::int64_t count, int thread) const {
    const Division division = this->division(frame, count);
    frame.divide(work_, division.count, thread, [&](Range parts) {
      multiply(frame, count, thread, division, division.items_of(parts));
    });
  }

  void multiply(const Frame& frame, std::int64_t count, int thread, const Division& division,
                Range range) const {
    const kernels::PackedRows x{frame.storage<std::byte>(packed_), x_element_, count,
                                weight_.in_features};
    const kernels::Output y{frame.storage<void>(output_), y_element_, weight_.out_features};
    const Range rows = division.by_blocks ? Range{0, count} : range;
    const Range blocks =
        division.by_blocks ? range : Range{0, kernels::linear_blocks(weight_)};
    linear_.compute(x, weight_, y, rows, blocks, frame.scratch(thread));
  }

  const kernels::LinearVariant& linear_;
  kernels::LinearWeight weight_;
  Dim rows_;
  int source_;      // the input
  int x_;           // its rows: the patches of a convolution
  int packed_ = -1;
  int output_;
  kernels::Element x_element_, y_element_;
  Patches patches_{};
  std::vector<Task> tasks_;  // of each phase
  int work_;
};

}  // namespace

OperationPointer make_product(Workshop& workshop, const Instruction& instruction) {
  return std::make_unique<Product>(workshop, instruction);
}

}  // namespace vlmforge::runtime
