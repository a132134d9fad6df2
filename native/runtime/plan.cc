#include "runtime/plan.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "runtime/sizes.h"

namespace vlmforge::runtime {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t size) {
  return plus(size, kAlignment - 1) / kAlignment * kAlignment;
}

// First and last step that uses a storage.
struct Life {
  int first = std::numeric_limits<int>::max();
  int last = -1;

  void extend(int step) {
    first = std::min(first, step);
    last = std::max(last, step);
  }
};

// What a phase and a later one have in common.
Wait wait_between(const Phase& before, const Access& a, const Phase& after, const Access& b) {
  const bool same_rows = a.storage == b.storage && a.by_rows && b.by_rows;
  if (!same_rows || before.rows != after.rows) return Wait::always;
  return before.whole && after.whole ? Wait::never : Wait::if_shared;
}

// Instructions `mul` whose one operand is a silu that nothing else reads: mul to silu.
std::map<int, int> find_gates(const Program& program) {
  std::map<int, int> readers;  // of each buffer; the caller of the program reads outputs
  for (const int output : program.outputs) ++readers[output];
  std::map<int, int> silus;  // buffer to instruction
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const Instruction& each = program.instructions[i];
    for (const int input : each.inputs) ++readers[input];
    if (each.op == "silu") silus[each.output] = static_cast<int>(i);
  }
  std::map<int, int> gates;
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const Instruction& each = program.instructions[i];
    if (each.op != "mul") continue;
    for (const int input : each.inputs) {
      const auto silu = silus.find(input);
      if (silu != silus.end() && readers[input] == 1) gates[static_cast<int>(i)] = silu->second;
    }
  }
  return gates;
}

}  // namespace

Plan::Plan(const Program& program, const kernels::Kernels& kernels,
           const kernels::LinearVariant& linear, bool fused)
    : program_(program), storages_(program), batchable_(is_batchable(program)) {
  Workshop workshop{program, kernels, linear, storages_};
  make_operations(workshop, fused);
  work_ = workshop.work;
  for (std::size_t i = 0; i < program.buffers.size(); ++i) {
    storage_of_.push_back(storages_.of(static_cast<int>(i)));
  }
  place_storages();
  find_waits();
}

void Plan::make_operations(Workshop& workshop, bool fused) {
  const std::map<int, int> gates = fused ? find_gates(program_) : std::map<int, int>{};
  std::set<int> absorbed;
  for (const auto& [mul, silu] : gates) absorbed.insert(silu);
  for (int i = 0; i < static_cast<int>(program_.instructions.size()); ++i) {
    const Instruction& instruction = program_.instructions[static_cast<std::size_t>(i)];
    const auto gate = gates.find(i);
    if (absorbed.contains(i)) {
      operations_.push_back(nullptr);
    } else if (gate != gates.end()) {
      const Instruction& silu = program_.instructions[static_cast<std::size_t>(gate->second)];
      operations_.push_back(make_gate(workshop, silu, instruction));
    } else {
      operations_.push_back(make_operation(workshop, instruction));
    }
    const Operation* const operation = operations_.back().get();
    const int phases = operation == nullptr ? 0 : static_cast<int>(operation->phases().size());
    for (int phase = 0; phase < phases; ++phase) {
      steps_.push_back({i, operation, phase, Wait::always});
    }
  }
}

// Storages whose lives do not overlap share a place, if their sizes have the same form.
void Plan::place_storages() {
  std::vector<Life> lives(static_cast<std::size_t>(storages_.count()));
  const auto life = [&](int storage) -> Life& { return lives[static_cast<std::size_t>(storage)]; };
  const int end = static_cast<int>(steps_.size());
  for (const int input : program_.inputs) life(storage_of(input)).extend(-1);
  for (int i = 0; i < end; ++i) {
    const Step& step = steps_[static_cast<std::size_t>(i)];
    for (const Access& access : step.operation->phases()[static_cast<std::size_t>(step.phase)].accesses) {
      life(access.storage).extend(i);
    }
  }
  for (const int output : program_.outputs) life(storage_of(output)).extend(end);

  std::vector<int> order;
  for (int storage = 0; storage < storages_.count(); ++storage) {
    const bool used = life(storage).first <= life(storage).last;
    if (used && storages_.fixed(storage) == nullptr) order.push_back(storage);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return life(a).first < life(b).first; });
  place_of_.assign(lives.size(), -1);
  std::map<std::string, std::vector<std::pair<int, int>>> taken;  // place and its last step
  for (const int storage : order) {
    auto& places = taken[storages_.signature(storage)];
    const auto free = std::find_if(places.begin(), places.end(), [&](const auto& place) {
      return place.second < life(storage).first;
    });
    if (free == places.end()) {
      place_of_[static_cast<std::size_t>(storage)] = places_;
      places.emplace_back(places_++, life(storage).last);
    } else {
      place_of_[static_cast<std::size_t>(storage)] = free->first;
      free->second = life(storage).last;
    }
  }
}

// A step waits if it shares a place with one since the last wait, and one of them writes.
void Plan::find_waits() {
  std::vector<std::pair<const Phase*, const Access*>> recent;
  for (Step& step : steps_) {
    const Phase& phase = step.operation->phases()[static_cast<std::size_t>(step.phase)];
    step.wait = Wait::never;
    for (const auto& [before, a] : recent) {
      for (const Access& b : phase.accesses) {
        const int place = place_of_[static_cast<std::size_t>(b.storage)];
        const bool same = place >= 0 && place == place_of_[static_cast<std::size_t>(a->storage)];
        if (!same || (!a->write && !b.write)) continue;
        step.wait = std::max(step.wait, wait_between(*before, *a, phase, b));
      }
    }
    if (step.wait == Wait::always) recent.clear();
    for (const Access& access : phase.accesses) recent.emplace_back(&phase, &access);
  }
}

void Plan::place(Frame& frame, Workspace& workspace) const {
  std::vector<std::size_t> sizes(static_cast<std::size_t>(places_), 0);
  for (int storage = 0; storage < storages_.count(); ++storage) {
    const int place = place_of_[static_cast<std::size_t>(storage)];
    if (place < 0) continue;
    std::size_t& size = sizes[static_cast<std::size_t>(place)];
    size = std::max(size, aligned(storages_.bytes(storage, frame)));
  }
  std::vector<std::size_t> offsets;
  std::size_t total = 0;
  for (const std::size_t size : sizes) {
    offsets.push_back(total);
    total = plus(total, size);
  }
  std::size_t scratch = 0;
  for (const OperationPointer& operation : operations_) {
    if (operation != nullptr) scratch = std::max(scratch, operation->scratch_bytes(frame));
  }
  scratch = aligned(scratch) + kAlignment;  // threads keep off each other's lines
  const std::size_t needed =
      plus(total, times(scratch, static_cast<std::size_t>(frame.threads())));
  if (needed > workspace.bytes) {
    workspace.bytes = 0;
    workspace.arena.reset();
    workspace.arena = std::make_unique<AlignedBytes>(needed);
    workspace.bytes = needed;
  }
  if (work_ > workspace.turn_count) {
    workspace.turns = std::make_unique<std::atomic<std::int64_t>[]>(
        static_cast<std::size_t>(work_));
    workspace.turn_count = work_;
  }
  for (int i = 0; i < work_; ++i) workspace.turns[static_cast<std::size_t>(i)] = 0;
  frame.use_turns(workspace.turns.get());
  std::byte* const arena = workspace.arena->data();
  std::vector<std::byte*> places;
  for (int storage = 0; storage < storages_.count(); ++storage) {
    const int place = place_of_[static_cast<std::size_t>(storage)];
    const void* const fixed = storages_.fixed(storage);
    places.push_back(place < 0 ? static_cast<std::byte*>(const_cast<void*>(fixed))
                               : arena + offsets[static_cast<std::size_t>(place)]);
  }
  frame.place(std::move(places), arena + total, scratch);
}

std::optional<Failure> Plan::check(Frame& frame) const {
  const int threads = frame.threads();
  frame.use_threads(1);
  std::optional<Failure> failure;
  for (std::size_t i = 0; i < operations_.size() && !failure; ++i) {
    if (operations_[i] == nullptr) continue;
    if (const auto violation = operations_[i]->check(frame)) {
      failure = Failure{static_cast<int>(i), *violation};
      continue;
    }
    const int output = program_.instructions[i].output;
    if (program_.buffers[static_cast<std::size_t>(output)].dtype != DType::int64) continue;
    const int phases = static_cast<int>(operations_[i]->phases().size());
    for (int phase = 0; phase < phases; ++phase) operations_[i]->run(frame, phase, 0);
  }
  frame.use_threads(threads);
  return failure;
}

}  // namespace vlmforge::runtime
