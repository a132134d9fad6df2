// Whether requests can run as one: their rows one after another in every buffer.
#include <algorithm>

#include "runtime/plan.h"

namespace vlmforge::runtime {
namespace {

int dynamic_dims(const std::vector<Dim>& shape) {
  return static_cast<int>(std::count_if(shape.begin(), shape.end(), [](Dim d) { return d.dynamic(); }));
}

// Rows of the one dynamic dimension, outermost.
bool is_rows(const std::vector<Dim>& shape) {
  return dynamic_dims(shape) == 1 && row_dim(shape).dynamic();
}

class Analysis {
 public:
  explicit Analysis(const Program& program)
      : program_(program), shared_(program.buffers.size(), false) {}

  bool holds() {
    return std::all_of(program_.inputs.begin(), program_.inputs.end(),
                       [&](int input) { return input_fits(input); }) &&
           std::all_of(program_.instructions.begin(), program_.instructions.end(),
                       [&](const Instruction& each) { return instruction_fits(each); });
  }

 private:
  const std::vector<Dim>& shape(int buffer) const {
    return program_.buffers[static_cast<std::size_t>(buffer)].shape;
  }

  bool input_fits(int input) const {
    if (is_rows(shape(input))) return true;
    // Positions are [3, rows]; rope_lookup alone reads them in this form.
    const auto reads_positions = [&](const Instruction& each) {
      const bool reads = std::count(each.inputs.begin(), each.inputs.end(), input) > 0;
      return !reads || each.op == "rope_lookup";
    };
    const bool is_output = std::count(program_.outputs.begin(), program_.outputs.end(), input) > 0;
    return dynamic_dims(shape(input)) == 1 && !is_output &&
           std::all_of(program_.instructions.begin(), program_.instructions.end(),
                       reads_positions);
  }

  bool instruction_fits(const Instruction& each) {
    const auto is_shared = [&](int input) { return shared_[static_cast<std::size_t>(input)]; };
    const bool all_shared = std::all_of(each.inputs.begin(), each.inputs.end(), is_shared);
    const bool any_shared = std::any_of(each.inputs.begin(), each.inputs.end(), is_shared);
    if (each.op == "attention") return !any_shared && is_rows(shape(each.output));
    if (all_shared) {  // what depends on constants alone is the same for every request
      shared_[static_cast<std::size_t>(each.output)] = true;
      return true;
    }
    return is_rows(shape(each.output));
  }

  const Program& program_;
  std::vector<bool> shared_;  // buffers that are the same for every request
};

}  // namespace

bool is_batchable(const Program& program) { return Analysis(program).holds(); }

}  // namespace vlmforge::runtime
