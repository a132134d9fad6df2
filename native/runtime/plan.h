// Plan: a program as a flat list of steps, with a place in memory for every storage.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/operation.h"

namespace vlmforge::runtime {

// Whether threads wait for each other before a step.
enum class Wait : std::uint8_t {
  never,
  if_shared,  // only where its rows are shared by several threads
  always,
};

struct Step {
  int instruction;
  const Operation* operation;
  int phase;
  Wait wait;
};

// An index out of range, found before anything was computed.
struct Failure {
  int instruction;
  Violation violation;
};

// Memory of one run, kept for the next.
struct Workspace {
  std::unique_ptr<AlignedBytes> arena;
  std::size_t bytes = 0;
  std::unique_ptr<std::atomic<std::int64_t>[]> turns;
  int turn_count = 0;
};

class Plan {
 public:
  // `program` outlives the plan. `fused`: instructions may run together where that saves a pass
  // over memory; what lies between them is then never written.
  Plan(const Program& program, const kernels::Kernels& kernels,
       const kernels::LinearVariant& linear, bool fused);

  const std::vector<Step>& steps() const { return steps_; }
  // Whether requests can run side by side, their rows one after another.
  bool batchable() const { return batchable_; }
  int storage_of(int buffer) const { return storage_of_[static_cast<std::size_t>(buffer)]; }

  // Places all storages of a run and the threads' scratch, growing the workspace where needed.
  void place(Frame& frame, Workspace& workspace) const;

  // Computes the index buffers, all of which derive from inputs alone, and checks every index.
  std::optional<Failure> check(Frame& frame) const;

 private:
  void make_operations(Workshop& workshop, bool fused);
  void place_storages();
  void find_waits();

  const Program& program_;
  Storages storages_;
  std::vector<OperationPointer> operations_;  // of each instruction, or null
  std::vector<Step> steps_;
  std::vector<int> storage_of_;  // of each buffer
  std::vector<int> place_of_;    // of each storage, or -1 for constants
  int places_ = 0;
  int work_ = 0;
  bool batchable_;
};

// Whether requests of a program can run as one; see Plan::batchable.
bool is_batchable(const Program& program);

}  // namespace vlmforge::runtime
