// Operation: an instruction made ready to run.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/table.h"
#include "runtime/frame.h"
#include "runtime/program.h"

namespace vlmforge::runtime {

// A storage that a phase reads or writes. `by_rows`: each thread touches only the rows of its
// share of the phase's rows.
struct Access {
  int storage;
  bool write;
  bool by_rows;
};

// A part of an operation that all threads do together; they wait for each other between phases
// only where one touches what another wrote.
struct Phase {
  std::vector<Access> accesses;
  Dim rows;           // what by_rows refers to
  bool whole = true;  // shares of single rows; else of several, which may differ between phases
};

// An index that is not in [first, limit).
struct Violation {
  std::int64_t value;
  std::int64_t limit;
  std::int64_t first = 0;
};

class Operation {
 public:
  virtual ~Operation() = default;

  const std::vector<Phase>& phases() const { return phases_; }

  // Does a thread's share of a phase.
  virtual void run(const Frame& frame, int phase, int thread) const = 0;

  // Memory each thread needs for itself.
  virtual std::size_t scratch_bytes(const Frame&) const { return 0; }

  // The first index that is out of range. Needs no other storage than that of the indexes.
  virtual std::optional<Violation> check(const Frame&) const { return std::nullopt; }

 protected:
  std::vector<Phase> phases_;
};

// The memory of buffers and of what operations need besides, one storage each.
class Storages {
 public:
  using Size = std::function<std::size_t(const Frame&)>;

  explicit Storages(const Program& program);

  // The storage of a buffer; made at the first call.
  int of(int buffer);
  // Gives a buffer the storage of another.
  void alias(int buffer, int other);
  // Gives a buffer the memory of a tensor.
  void constant(int buffer, const void* data);
  // A further storage. Those with equal signatures may follow each other in one place.
  int add(Size size, std::string signature);

  int count() const { return static_cast<int>(entries_.size()); }
  const void* fixed(int storage) const { return entry(storage).fixed; }
  const std::string& signature(int storage) const { return entry(storage).signature; }
  std::size_t bytes(int storage, const Frame& frame) const { return entry(storage).size(frame); }

 private:
  struct Entry {
    Size size;
    std::string signature;
    const void* fixed = nullptr;
  };
  const Entry& entry(int storage) const { return entries_[static_cast<std::size_t>(storage)]; }

  const Program& program_;
  std::vector<int> buffers_;  // storage of each, or -1
  std::vector<Entry> entries_;
};

// What operations are made from.
struct Workshop {
  const Program& program;
  const kernels::Kernels& kernels;
  const kernels::LinearVariant& linear;
  Storages& storages;
  // Storage of activations and their features to the storage of the packed form.
  std::map<std::pair<int, std::int64_t>, int> packed = {};
  int caches = 0;  // attentions so far that keep keys and values
  int work = 0;    // phases so far whose parts threads take as they get free

  const Buffer& buffer(int id) const { return program.buffers[static_cast<std::size_t>(id)]; }
  const Buffer& input(const Instruction& each, std::size_t index) const {
    return buffer(each.inputs[index]);
  }
  const Buffer& output(const Instruction& each) const { return buffer(each.output); }
};

using OperationPointer = std::unique_ptr<Operation>;

// The dimension whose rows an operation on a buffer is shared by: the first that is not 1.
Dim row_dim(const std::vector<Dim>& shape);

kernels::Element element_of(DType dtype);

// Whether an attention keeps its keys and values for the next run.
bool is_caching(const Instruction& attention);

// Null for instructions that only name memory: reshape and constant.
OperationPointer make_operation(Workshop& workshop, const Instruction& instruction);

OperationPointer make_elementwise(Workshop& workshop, const Instruction& instruction);
// A silu and the mul that alone reads it, in one.
OperationPointer make_gate(Workshop& workshop, const Instruction& silu, const Instruction& mul);
OperationPointer make_hadamard(Workshop& workshop, const Instruction& instruction);
OperationPointer make_norm(Workshop& workshop, const Instruction& instruction);
OperationPointer make_rope(Workshop& workshop, const Instruction& instruction);
OperationPointer make_rope_lookup(Workshop& workshop, const Instruction& instruction);
OperationPointer make_gather_rows(Workshop& workshop, const Instruction& instruction);
OperationPointer make_product(Workshop& workshop, const Instruction& instruction);
OperationPointer make_attention(Workshop& workshop, const Instruction& instruction);

}  // namespace vlmforge::runtime
