// attention: integer scores, integer probabilities, exact sums (docs/numbers.md, "attention").
//
//   a_j = sum_d q_d * k_jd,   A = max a_j over the keys the row sees
//   e_j = rint(exp(f32(a_j - A) * score_multiplier) * 32767),   L = sum_j e_j
//   c_d = sum_j e_j * v_jd,   y_d = code(f32(c_d) * (multiplier_d / f32(L)))
//
// Keys and values of one kv head lie blocked, as the dot-product instructions read them:
//
//   keys    uint8 [T/16, D/4, 16, 4]: key 16b + r, channel 4j + c, as code + 128. The offset adds
//           128 * sum_d q_d to every score of a row, which a_j - A does not see.
//   values  int8 [D/16, T/4, 16, 4]: channel 16b + r, key 4j + c.
//
// T and D are rounded up. What lies in the padding and behind the last key has no effect.
#pragma once

#include <cstddef>

#include "kernels/types.h"

namespace vlmforge::kernels {

// Sizes of the blocked keys and values of one kv head.
struct KvShape {
  std::int64_t capacity;  // a multiple of 16
  std::int64_t head_dim;

  std::int64_t key_steps() const { return (head_dim + 3) / 4; }
  std::int64_t value_blocks() const { return (head_dim + 15) / 16; }
  std::int64_t key_bytes() const { return capacity * key_steps() * 4; }
  std::int64_t value_bytes() const { return value_blocks() * capacity * 16; }
};

struct KvHead {
  std::uint8_t* keys;
  std::int8_t* values;
};

// Writes `count` keys and values, rows of k and v with `stride`, behind the first `past`.
void append_keys_values(const KvShape& shape, const KvHead& head, const std::int8_t* k,
                        const std::int8_t* v, std::int64_t stride, std::int64_t past,
                        std::int64_t count);

// The head without its first keys, a multiple of kKeyBlock.
inline constexpr std::int64_t kKeyBlock = 16;
KvHead behind(const KvShape& shape, const KvHead& head, std::int64_t keys);

// Fetches the first keys and values of `seen`, all at once. Short runs of them, in many places, are
// over before the processor has learnt to fetch ahead; long ones are not.
void prefetch_keys_values(const KvShape& shape, const KvHead& head, std::int64_t seen);

// A channel of a key or value that was written.
std::int8_t key_of(const KvShape& shape, const KvHead& head, std::int64_t position,
                   std::int64_t channel);
std::int8_t value_of(const KvShape& shape, const KvHead& head, std::int64_t position,
                     std::int64_t channel);

// A query: one head of one row.
struct Query {
  const std::int8_t* q;     // [D]
  void* output;             // [D] of `element`
  const float* multiplier;  // [D]
  float score_multiplier;
  std::int64_t first;  // keys it sees: [first, seen), at least one
  std::int64_t seen;
};

// At most kMaxQueries queries of one kv head; `seen` is the largest of theirs.
inline constexpr int kMaxQueries = 6;

struct Attention {
  KvShape shape;
  KvHead head;
  Query queries[kMaxQueries];
  int count;
  std::int64_t seen;
  Element element;  // of the output: int8 or int16
};

// Bytes of scratch for queries that see at most `seen` keys, aligned to 64 bytes.
std::size_t attention_scratch_bytes(const KvShape& shape, std::int64_t seen);

using AttentionKernel = void (*)(const Attention& step, std::byte* scratch);
void attention_scalar(const Attention& step, std::byte* scratch);
void attention_avx2(const Attention& step, std::byte* scratch);
void attention_avxvnni(const Attention& step, std::byte* scratch);
void attention_avx512(const Attention& step, std::byte* scratch);
void attention_neon(const Attention& step, std::byte* scratch);

}  // namespace vlmforge::kernels
