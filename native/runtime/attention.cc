// attention: appends this run's keys and values, then lets every query attend.
#include <algorithm>
#include <utility>

#include "runtime/operation.h"
#include "runtime/sizes.h"

namespace vlmforge::runtime {
namespace {

using kernels::Range;

class AttentionOperation final : public Operation {
 public:
  AttentionOperation(Workshop& workshop, const Instruction& instruction, int cache);

  std::optional<Violation> check(const Frame& frame) const override;
  std::size_t scratch_bytes(const Frame& frame) const override;
  void run(const Frame& frame, int phase, int thread) const override;

 private:
  // One request's part of the work.
  struct Part {
    KvStore store;
    std::int64_t past;
    std::int64_t keys_begin, keys;        // rows of k and v
    std::int64_t queries_begin, queries;  // rows of q
  };

  Part part(const Frame& frame, int request) const;
  bool uses_cache(const Frame& frame, int request) const {
    return cache_ >= 0 && frame.cache(request).cache != nullptr;
  }
  std::int64_t past(const Frame& frame, int request) const {
    return uses_cache(frame, request) ? frame.cache(request).past : 0;
  }
  std::optional<Violation> check_index(const Frame& frame, int request) const;
  std::optional<Violation> check_visible(const Frame& frame, int request) const;
  std::size_t own_bytes(const Frame& frame, int request) const;
  Range seen_by(const Frame& frame, const Part& part, std::int64_t row) const;
  void append(const Frame& frame, int thread) const;
  void attend(const Frame& frame, int thread) const;
  std::int64_t blocks_of_group(const Frame& frame, int request, std::int64_t size) const;
  void attend_block(const Frame& frame, std::int64_t block, std::int64_t size, int thread) const;
  void attend_to_group(const Frame& frame, const Part& part, std::int64_t group, Range queries,
                       int thread) const;

  CacheShape shape_;
  std::int64_t heads_;
  std::int64_t shared_;  // heads of one kv head
  bool causal_;
  int cache_;  // number of the store in the cache, or -1
  int q_, k_, v_, output_;
  int index_ = -1, visible_ = -1;
  int own_;  // keys and values of requests without a cache
  Dim rows_, keys_;
  const float* score_multiplier_;
  const float* multiplier_;
  kernels::Element element_;
  kernels::AttentionKernel kernel_;
  int work_;
};

AttentionOperation::AttentionOperation(Workshop& workshop, const Instruction& instruction,
                                       int cache)
    : shape_{instruction.integer("kv_heads"), instruction.integer("head_dim")},
      heads_(instruction.integer("heads")),
      shared_(heads_ / shape_.kv_heads),
      causal_(instruction.flag("causal")),
      cache_(cache),
      q_(workshop.storages.of(instruction.inputs[0])),
      k_(workshop.storages.of(instruction.inputs[1])),
      v_(workshop.storages.of(instruction.inputs[2])),
      output_(workshop.storages.of(instruction.output)),
      rows_(workshop.input(instruction, 0).shape[0]),
      keys_(workshop.input(instruction, 1).shape[0]),
      score_multiplier_(instruction.tensor("score_multiplier")->as<float>()),
      multiplier_(instruction.tensor("multiplier")->as<float>()),
      element_(element_of(workshop.output(instruction).dtype)),
      kernel_(workshop.kernels.attention),
      work_(workshop.work++) {
  if (instruction.inputs.size() > 3) {
    const bool intervals = workshop.input(instruction, 3).shape.size() == 2;
    (intervals ? visible_ : index_) = workshop.storages.of(instruction.inputs[3]);
  }
  const auto bytes = [this](const Frame& frame) {
    std::size_t total = 0;
    for (int request = 0; request < frame.requests(); ++request) {
      total = plus(total, own_bytes(frame, request));
    }
    return total;
  };
  own_ = workshop.storages.add(bytes, "keys and values");
  // The store in the cache is touched by this operation alone, so own_ stands for it, too.
  phases_.push_back({{{k_, false, true}, {v_, false, true}, {own_, true, false}}, keys_});
  Phase attending{{{q_, false, false}, {own_, false, false}, {output_, true, false}}, rows_};
  if (index_ >= 0) attending.accesses.push_back({index_, false, false});
  if (visible_ >= 0) attending.accesses.push_back({visible_, false, false});
  phases_.push_back(std::move(attending));
}

std::size_t AttentionOperation::own_bytes(const Frame& frame, int request) const {
  return uses_cache(frame, request) ? 0 : KvStore::bytes(shape_, frame.count(keys_, request));
}

AttentionOperation::Part AttentionOperation::part(const Frame& frame, int request) const {
  const std::int64_t keys = frame.count(keys_, request), queries = frame.count(rows_, request);
  const std::int64_t keys_begin = frame.begin(keys_, request);
  const std::int64_t queries_begin = frame.begin(rows_, request);
  if (uses_cache(frame, request)) {
    const CacheView& view = frame.cache(request);
    const KvStore& store = view.cache->stores()[static_cast<std::size_t>(cache_)];
    return {store.borrowed(), view.past, keys_begin, keys, queries_begin, queries};
  }
  std::byte* memory = frame.storage<std::byte>(own_);
  for (int before = 0; before < request; ++before) memory += own_bytes(frame, before);
  return {KvStore(shape_, keys, memory), 0, keys_begin, keys, queries_begin, queries};
}

std::optional<Violation> AttentionOperation::check(const Frame& frame) const {
  for (int request = 0; request < frame.requests(); ++request) {
    const auto found = visible_ >= 0 ? check_visible(frame, request) : check_index(frame, request);
    if (found) return found;
  }
  return std::nullopt;
}

std::optional<Violation> AttentionOperation::check_index(const Frame& frame, int request) const {
  if (index_ < 0) return std::nullopt;
  const std::int64_t limit = frame.count(keys_, request);
  const std::int64_t* const index =
      frame.storage<std::int64_t>(index_) + frame.begin(rows_, request);
  for (std::int64_t i = 0; i < frame.count(rows_, request); ++i) {
    if (index[i] < 0 || index[i] >= limit) return Violation{index[i], limit};
  }
  return std::nullopt;
}

std::optional<Violation> AttentionOperation::check_visible(const Frame& frame, int request) const {
  const std::int64_t keys = past(frame, request) + frame.count(keys_, request);
  const std::int64_t* bounds =
      frame.storage<std::int64_t>(visible_) + 2 * frame.begin(rows_, request);
  for (std::int64_t i = 0; i < frame.count(rows_, request); ++i, bounds += 2) {
    if (bounds[0] < 0 || bounds[0] >= keys) return Violation{bounds[0], keys};
    if (bounds[1] <= bounds[0] || bounds[1] > keys) {
      return Violation{bounds[1], keys + 1, bounds[0] + 1};
    }
  }
  return std::nullopt;
}

std::size_t AttentionOperation::scratch_bytes(const Frame& frame) const {
  std::size_t largest = 0;
  for (int request = 0; request < frame.requests(); ++request) {
    const std::int64_t keys = past(frame, request) + frame.count(keys_, request);
    const kernels::KvShape shape{0, shape_.head_dim};
    largest = std::max(largest, kernels::attention_scratch_bytes(shape, keys));
  }
  return largest;
}

void AttentionOperation::run(const Frame& frame, int phase, int thread) const {
  if (phase == 0) {
    append(frame, thread);
  } else {
    attend(frame, thread);
  }
}

void AttentionOperation::append(const Frame& frame, int thread) const {
  const Range own = share(frame.total(keys_), thread, frame.threads());
  const std::int64_t width = shape_.kv_heads * shape_.head_dim;
  for (int request = 0; request < frame.requests(); ++request) {
    const Part p = part(frame, request);
    const std::int64_t first = std::max(own.first, p.keys_begin);
    const std::int64_t last = std::min(own.last, p.keys_begin + p.keys);
    if (first >= last) continue;
    p.store.append(frame.storage<std::int8_t>(k_) + first * width,
                   frame.storage<std::int8_t>(v_) + first * width, width,
                   p.past + first - p.keys_begin, last - first);
  }
}

Range AttentionOperation::seen_by(const Frame& frame, const Part& p, std::int64_t row) const {
  if (visible_ >= 0) {
    const std::int64_t* const bounds =
        frame.storage<std::int64_t>(visible_) + 2 * (p.queries_begin + row);
    return {bounds[0], bounds[1]};
  }
  if (!causal_) return {0, p.past + p.keys};
  if (index_ < 0) return {0, p.past + row + 1};
  return {0, p.past + frame.storage<std::int64_t>(index_)[p.queries_begin + row] + 1};
}

// A block is at most `size` queries of one kv head; those of a kv head lie side by side.
std::int64_t AttentionOperation::blocks_of_group(const Frame& frame, int request,
                                                 std::int64_t size) const {
  return (frame.count(rows_, request) * shared_ + size - 1) / size;
}

void AttentionOperation::attend(const Frame& frame, int thread) const {
  const std::int64_t queries = frame.total(rows_) * heads_;
  const std::int64_t fair = (queries + frame.threads() - 1) / frame.threads();
  const std::int64_t size = std::clamp<std::int64_t>(fair, 1, kernels::kMaxQueries);
  std::int64_t blocks = 0;
  for (int request = 0; request < frame.requests(); ++request) {
    blocks += shape_.kv_heads * blocks_of_group(frame, request, size);
  }
  frame.divide(work_, blocks, thread, [&](Range own) {
    for (std::int64_t i = own.first; i < own.last; ++i) attend_block(frame, i, size, thread);
  });
}

void AttentionOperation::attend_block(const Frame& frame, std::int64_t block, std::int64_t size,
                                      int thread) const {
  int request = 0;
  std::int64_t of_group = blocks_of_group(frame, 0, size);
  while (block >= shape_.kv_heads * of_group) {
    block -= shape_.kv_heads * of_group;
    of_group = blocks_of_group(frame, ++request, size);
  }
  const Part p = part(frame, request);
  const std::int64_t first = block % of_group * size;
  const std::int64_t last = std::min(first + size, p.queries * shared_);
  attend_to_group(frame, p, block / of_group, {first, last}, thread);
}

// Query number i of a kv head is head i % shared_ of row i / shared_.
void AttentionOperation::attend_to_group(const Frame& frame, const Part& p, std::int64_t group,
                                         Range queries, int thread) const {
  const std::int64_t width = heads_ * shape_.head_dim;
  const std::int64_t element_bytes = element_ == kernels::Element::int8 ? 1 : 2;
  kernels::Attention step{};
  step.shape = p.store.head_shape();
  step.count = static_cast<int>(queries.last - queries.first);
  std::int64_t first = p.past + p.keys;  // key that any of the queries sees
  step.element = element_;
  for (int i = 0; i < step.count; ++i) {
    const std::int64_t row = (queries.first + i) / shared_;
    const std::int64_t head = group * shared_ + (queries.first + i) % shared_;
    const std::int64_t channel = head * shape_.head_dim;
    const std::int64_t at = (p.queries_begin + row) * width + channel;
    const Range seen = seen_by(frame, p, row);
    step.queries[i] = {frame.storage<std::int8_t>(q_) + at,
                       frame.storage<std::byte>(output_) + at * element_bytes,
                       multiplier_ + channel, score_multiplier_[head], seen.first, seen.last};
    first = std::min(first, seen.first);
    step.seen = std::max(step.seen, seen.last);
  }
  // Blocks of keys before those that any query sees are passed over.
  const std::int64_t skipped = first / kernels::kKeyBlock * kernels::kKeyBlock;
  step.head = kernels::behind(step.shape, p.store.head(group), skipped);
  step.seen -= skipped;
  for (int i = 0; i < step.count; ++i) {
    step.queries[i].first -= skipped;
    step.queries[i].seen -= skipped;
  }
  // A single row's keys and values were last read a token ago, before all weights.
  if (p.queries == 1) prefetch_keys_values(step.shape, step.head, step.seen);
  kernel_(step, frame.scratch(thread));
}

}  // namespace

bool is_caching(const Instruction& attention) {
  const auto cache = attention.attributes.find("cache");
  return cache != attention.attributes.end() &&
         std::holds_alternative<std::string>(cache->second);
}

OperationPointer make_attention(Workshop& workshop, const Instruction& instruction) {
  const int number = is_caching(instruction) ? workshop.caches++ : -1;
  return std::make_unique<AttentionOperation>(workshop, instruction, number);
}

}  // namespace vlmforge::runtime
