// Machine: runs a program, any number of requests at a time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/cache.h"
#include "runtime/plan.h"
#include "runtime/program.h"
#include "runtime/thread_pool.h"

namespace vlmforge::runtime {

// Arrays are contiguous, in the order of the program's inputs and outputs, and of the shapes that
// follow from `sizes`; the caller has checked them.
struct Request {
  std::vector<const void*> inputs;
  std::vector<std::int64_t> sizes;  // of the dynamic dimensions
  CacheView cache;
  std::vector<void*> outputs;
};

// Sees the content of each buffer after its instruction.
using Trace = std::function<void(int instruction, const void* data, std::size_t size)>;

class Machine {
 public:
  // `isa` names one of supported_kernels().
  Machine(Program program, const std::string& isa);

  const Program& program() const { return program_; }
  bool batchable() const { return plan_.batchable(); }
  // What a cache of this program keeps.
  const std::vector<CacheShape>& cache_shapes() const { return cache_shapes_; }

  // Runs requests as one; several only if batchable(). May be called from several threads at
  // once. With a failure, nothing was computed or written. `trace` needs one request.
  std::optional<Failure> run(const std::vector<Request>& requests, int threads,
                             const Trace& trace = {});

  // Measures from now on, per instruction, in seconds; threads then wait after every step.
  void start_profile();
  std::vector<double> profile() const;

 private:
  Frame frame_of(const std::vector<Request>& requests, int threads) const;
  // Throws std::invalid_argument unless the request's cache, if it has one, is of this program's
  // shapes and has room for the request behind the positions it holds.
  void require_room(const Frame& frame, int request) const;
  void read_inputs(const Plan& plan, const Frame& frame,
                   const std::vector<Request>& requests) const;
  void write_outputs(const Plan& plan, const Frame& frame,
                     const std::vector<Request>& requests) const;
  void run_plain(const Frame& frame);
  void run_steps(const Frame& frame, int thread, Barrier& barrier) const;
  void run_traced(const Frame& frame, const Trace& trace) const;
  void run_profiled(const Frame& frame, int thread, Barrier& barrier);

  std::unique_ptr<Workspace> take_workspace();

  Program program_;
  std::vector<std::int64_t> largest_factors_;  // of the dynamic dimensions
  std::vector<CacheShape> cache_shapes_;
  Dim cached_rows_;  // that a run appends to a cache
  Plan plan_;
  Plan traced_plan_;  // with every buffer written
  mutable std::mutex mutex_;  // guards what follows
  std::vector<std::unique_ptr<Workspace>> idle_;
  std::vector<double> seconds_;  // of each instruction, while profiling
};

}  // namespace vlmforge::runtime
