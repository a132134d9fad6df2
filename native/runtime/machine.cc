#include "runtime/machine.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <utility>

#include "runtime/float_environment.h"

namespace vlmforge::runtime {
namespace {

const kernels::Kernels& kernels_named(const std::string& isa) {
  for (const kernels::Kernels* const each : kernels::supported_kernels()) {
    if (each->name == isa) return *each;
  }
  throw std::invalid_argument("this processor has no instruction set " + isa);
}

const kernels::LinearVariant& linear_of(const std::string& isa) {
  const kernels::LinearVariant* const found =
      kernels::linear_variant(kernels_named(isa).linear);
  return found != nullptr ? *found : *kernels::linear_variant("scalar");
}

std::vector<CacheShape> cache_shapes_of(const Program& program) {
  std::vector<CacheShape> shapes;
  for (const Instruction& each : program.instructions) {
    if (each.op == "attention" && is_caching(each)) {
      shapes.push_back({each.integer("kv_heads"), each.integer("head_dim")});
    }
  }
  return shapes;
}

Dim cached_rows_of(const Program& program) {
  for (const Instruction& each : program.instructions) {
    if (each.op != "attention" || !is_caching(each)) continue;
    return program.buffers[static_cast<std::size_t>(each.inputs[1])].shape[0];
  }
  return {};
}

// Copies a request's part of a buffer, of one request or of all, from or to an array of its own.
template <class Copy>
void for_each_piece(const Frame& frame, const Buffer& buffer, int request, const Copy& copy) {
  std::size_t outer = 1, inner = size_of(buffer.dtype);
  std::optional<Dim> rows;
  for (const Dim dim : buffer.shape) {
    if (!rows && dim.dynamic()) {
      rows = dim;
    } else {
      (rows ? inner : outer) *= static_cast<std::size_t>(frame.total(dim));
    }
  }
  if (!rows) {
    copy(std::size_t{0}, std::size_t{0}, outer * inner);
    return;
  }
  const std::size_t total = static_cast<std::size_t>(frame.total(*rows)) * inner;
  const std::size_t own = static_cast<std::size_t>(frame.count(*rows, request)) * inner;
  const std::size_t begin = static_cast<std::size_t>(frame.begin(*rows, request)) * inner;
  for (std::size_t i = 0; i < outer; ++i) copy(i * total + begin, i * own, own);
}

}  // namespace

Machine::Machine(Program program, const std::string& isa)
    : program_((require_limits(program), std::move(program))),
      largest_factors_(program_.largest_factors()),
      cache_shapes_(cache_shapes_of(program_)),
      cached_rows_(cached_rows_of(program_)),
      plan_(program_, kernels_named(isa), linear_of(isa), true),
      traced_plan_(program_, kernels_named(isa), linear_of(isa), false) {}

void Machine::require_room(const Frame& frame, int request) const {
  const CacheView& view = frame.cache(request);
  if (view.cache == nullptr) return;
  const Cache& cache = *view.cache;
  bool fits = view.past >= 0 && view.past <= cache.capacity() &&
              frame.count(cached_rows_, request) <= cache.capacity() - view.past &&
              cache.stores().size() == cache_shapes_.size();
  for (std::size_t i = 0; fits && i < cache_shapes_.size(); ++i) {
    fits = cache.stores()[i].shape() == cache_shapes_[i];
  }
  if (!fits) throw std::invalid_argument("the request does not fit the cache");
}

Frame Machine::frame_of(const std::vector<Request>& requests, int threads) const {
  std::vector<std::vector<std::int64_t>> sizes(largest_factors_.size());
  std::vector<CacheView> caches;
  for (const Request& request : requests) {
    for (std::size_t i = 0; i < sizes.size(); ++i) sizes[i].push_back(request.sizes.at(i));
    caches.push_back(request.cache);
  }
  return Frame(std::move(sizes), largest_factors_, std::move(caches), threads);
}

void Machine::read_inputs(const Plan& plan, const Frame& frame,
                          const std::vector<Request>& requests) const {
  for (std::size_t i = 0; i < program_.inputs.size(); ++i) {
    const int buffer = program_.inputs[i];
    std::byte* const storage = frame.storage<std::byte>(plan.storage_of(buffer));
    for (std::size_t r = 0; r < requests.size(); ++r) {
      const auto* const array = static_cast<const std::byte*>(requests[r].inputs.at(i));
      for_each_piece(frame, program_.buffers[static_cast<std::size_t>(buffer)],
                     static_cast<int>(r), [&](std::size_t at, std::size_t from, std::size_t size) {
                       if (size > 0) std::memcpy(storage + at, array + from, size);
                     });
    }
  }
}

void Machine::write_outputs(const Plan& plan, const Frame& frame,
                            const std::vector<Request>& requests) const {
  for (std::size_t i = 0; i < program_.outputs.size(); ++i) {
    const int buffer = program_.outputs[i];
    const std::byte* const storage = frame.storage<std::byte>(plan.storage_of(buffer));
    for (std::size_t r = 0; r < requests.size(); ++r) {
      auto* const array = static_cast<std::byte*>(requests[r].outputs.at(i));
      for_each_piece(frame, program_.buffers[static_cast<std::size_t>(buffer)],
                     static_cast<int>(r), [&](std::size_t at, std::size_t to, std::size_t size) {
                       if (size > 0) std::memcpy(array + to, storage + at, size);
                     });
    }
  }
}

std::unique_ptr<Workspace> Machine::take_workspace() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<Workspace>();
  std::unique_ptr<Workspace> workspace = std::move(idle_.back());
  idle_.pop_back();
  return workspace;
}

std::optional<Failure> Machine::run(const std::vector<Request>& requests, int threads,
                                    const Trace& trace) {
  if (requests.size() != 1 && (trace || !batchable())) {
    throw std::invalid_argument("only single requests can run this way");
  }
  const FloatEnvironment environment;
  Frame frame = frame_of(requests, threads);
  for (int request = 0; request < frame.requests(); ++request) require_room(frame, request);
  std::unique_ptr<Workspace> workspace = take_workspace();
  const Plan& plan = trace ? traced_plan_ : plan_;
  plan.place(frame, *workspace);
  read_inputs(plan, frame, requests);
  const std::optional<Failure> failure = plan.check(frame);
  if (!failure) {
    trace ? run_traced(frame, trace) : run_plain(frame);
    write_outputs(plan, frame, requests);
  }
  // A moment of many callers leaves no more memory behind than the processors can use again.
  const std::size_t most = std::max(4U, std::thread::hardware_concurrency());
  const std::lock_guard lock(mutex_);
  if (idle_.size() < most) idle_.push_back(std::move(workspace));
  return failure;
}

void Machine::run_plain(const Frame& frame) {
  const bool profiled = !seconds_.empty();
  ThreadPool::instance().run(frame.threads(), [&](int thread, Barrier& barrier) {
    const FloatEnvironment environment;
    profiled ? run_profiled(frame, thread, barrier) : run_steps(frame, thread, barrier);
  });
}

void Machine::run_steps(const Frame& frame, int thread, Barrier& barrier) const {
  const bool alone = frame.threads() == 1;
  for (const Step& step : plan_.steps()) {
    if (!alone && step.wait != Wait::never) {
      const Dim rows = step.operation->phases()[static_cast<std::size_t>(step.phase)].rows;
      if (step.wait == Wait::always || frame.total(rows) > 1) barrier.wait();
    }
    step.operation->run(frame, step.phase, thread);
  }
}

// Each instruction by itself, so that `trace` is called, and may throw, outside of the pool.
void Machine::run_traced(const Frame& frame, const Trace& trace) const {
  const std::vector<Step>& steps = traced_plan_.steps();
  std::size_t next = 0;
  for (std::size_t i = 0; i < program_.instructions.size(); ++i) {
    const std::size_t first = next;
    while (next < steps.size() && steps[next].instruction == static_cast<int>(i)) ++next;
    ThreadPool::instance().run(frame.threads(), [&](int thread, Barrier& barrier) {
      const FloatEnvironment environment;
      for (std::size_t at = first; at < next; ++at) {
        steps[at].operation->run(frame, steps[at].phase, thread);
        barrier.wait();
      }
    });
    const int output = program_.instructions[i].output;
    const Buffer& buffer = program_.buffers[static_cast<std::size_t>(output)];
    trace(static_cast<int>(i), frame.storage<void>(traced_plan_.storage_of(output)),
          static_cast<std::size_t>(frame.elements(buffer.shape)) * size_of(buffer.dtype));
  }
}

void Machine::run_profiled(const Frame& frame, int thread, Barrier& barrier) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds(program_.instructions.size(), 0.0);
  Clock::time_point before = Clock::now();
  for (const Step& step : plan_.steps()) {
    step.operation->run(frame, step.phase, thread);
    barrier.wait();
    const Clock::time_point now = Clock::now();
    seconds[static_cast<std::size_t>(step.instruction)] +=
        std::chrono::duration<double>(now - before).count();
    before = now;
  }
  if (thread != 0) return;
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < seconds.size(); ++i) seconds_[i] += seconds[i];
}

void Machine::start_profile() {
  const std::lock_guard lock(mutex_);
  seconds_.assign(program_.instructions.size(), 0.0);
}

std::vector<double> Machine::profile() const {
  const std::lock_guard lock(mutex_);
  return seconds_;
}

}  // namespace vlmforge::runtime
