// What the variants of attention share at run time: the cache's layout and scratch.
#include "kernels/attention/attention.h"

#include <algorithm>
#include <cstring>

namespace vlmforge::kernels {
namespace {

constexpr std::int64_t kMostPrefetched = 256;  // keys

// The block of 16 keys that holds a position.
inline std::uint8_t* key_block(const KvShape& shape, const KvHead& head, std::int64_t position) {
  return head.keys + position / 16 * shape.key_steps() * 64;
}

// The values of 16 channels and of the four keys that hold a position.
inline std::int8_t* four_values(const KvShape& shape, const KvHead& head, std::int64_t block,
                                std::int64_t position) {
  return head.values + (block * shape.capacity / 4 + position / 4) * 64;
}

// Writes up to four channels of a key, those missing as code 0.
inline void append_channels(const std::int8_t* k, std::size_t count, std::uint8_t* target) {
  std::uint32_t four = 0;
  std::memcpy(&four, k, count);
  four ^= 0x80808080U;
  std::memcpy(target, &four, sizeof four);
}

void append_key(const KvShape& shape, const KvHead& head, const std::int8_t* k,
                std::int64_t position) {
  const std::int64_t steps = shape.key_steps(), whole = shape.head_dim / 4;
  std::uint8_t* target = key_block(shape, head, position) + position % 16 * 4;
  for (std::int64_t i = 0; i < whole; ++i, k += 4, target += 64) append_channels(k, 4, target);
  if (whole < steps) append_channels(k, static_cast<std::size_t>(shape.head_dim % 4), target);
}

void append_value(const KvShape& shape, const KvHead& head, const std::int8_t* v,
                  std::int64_t position) {
  for (std::int64_t d = 0; d < shape.head_dim; ++d) {
    four_values(shape, head, d / 16, position)[d % 16 * 4 + position % 4] = v[d];
  }
}

// Four rows side by side: target[4 * c + r] = v[r][c].
inline void interleave(const std::int8_t* __restrict v, std::int64_t stride, std::int64_t columns,
                       std::int8_t* __restrict target) {
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t r = 0; r < 4; ++r) target[4 * c + r] = v[r * stride + c];
  }
}

// Values of four whole keys, a block of 16 channels at a time.
void append_four_values(const KvShape& shape, const KvHead& head, const std::int8_t* v,
                        std::int64_t stride, std::int64_t position) {
  const std::int64_t whole = shape.head_dim / 16, rest = shape.head_dim % 16;
  for (std::int64_t i = 0; i < whole; ++i, v += 16) {
    interleave(v, stride, 16, four_values(shape, head, i, position));
  }
  if (rest > 0) interleave(v, stride, rest, four_values(shape, head, whole, position));
}

// Fetches the lines that a position is to be written to: writes wait for theirs one by one.
void prefetch_position(const KvShape& shape, const KvHead& head, std::int64_t position) {
  const std::uint8_t* const key = key_block(shape, head, position);
  for (std::int64_t i = 0; i < shape.key_steps(); ++i) __builtin_prefetch(key + i * 64, 1);
  for (std::int64_t i = 0; i < shape.value_blocks(); ++i) {
    __builtin_prefetch(four_values(shape, head, i, position), 1);
  }
}

}  // namespace

void append_keys_values(const KvShape& shape, const KvHead& head, const std::int8_t* k,
                        const std::int8_t* v, std::int64_t stride, std::int64_t past,
                        std::int64_t count) {
  if (count == 1) prefetch_position(shape, head, past);
  for (std::int64_t i = 0; i < count; ++i) append_key(shape, head, k + i * stride, past + i);
  for (std::int64_t i = 0; i < count;) {
    if ((past + i) % 4 == 0 && i + 4 <= count) {
      append_four_values(shape, head, v + i * stride, stride, past + i);
      i += 4;
    } else {
      append_value(shape, head, v + i * stride, past + i);
      i += 1;
    }
  }
}

KvHead behind(const KvShape& shape, const KvHead& head, std::int64_t keys) {
  return {key_block(shape, head, keys), four_values(shape, head, 0, keys)};
}

void prefetch_keys_values(const KvShape& shape, const KvHead& head, std::int64_t seen) {
  const std::int64_t count = std::min(seen, kMostPrefetched);
  for (std::int64_t i = 0; i < count * shape.key_steps() * 4; i += 64) {
    __builtin_prefetch(head.keys + i, 0, 2);
  }
  for (std::int64_t block = 0; block < shape.value_blocks(); ++block) {
    const std::int8_t* const values = four_values(shape, head, block, 0);
    for (std::int64_t i = 0; i < count * 16; i += 64) __builtin_prefetch(values + i, 0, 2);
  }
}

std::int8_t key_of(const KvShape& shape, const KvHead& head, std::int64_t position,
                   std::int64_t channel) {
  const std::uint8_t* const block = key_block(shape, head, position);
  const std::uint8_t code = block[channel / 4 * 64 + position % 16 * 4 + channel % 4];
  return static_cast<std::int8_t>(code ^ 0x80U);
}

std::int8_t value_of(const KvShape& shape, const KvHead& head, std::int64_t position,
                     std::int64_t channel) {
  return four_values(shape, head, channel / 16, position)[channel % 16 * 4 + position % 4];
}

std::size_t attention_scratch_bytes(const KvShape& shape, std::int64_t seen) {
  const std::int64_t keys = (seen + 31) / 32 * 32, channels = shape.value_blocks() * 16;
  // Queries, scores, two planes of probabilities, sums; every row is a multiple of 32 bytes.
  const std::int64_t row = (shape.head_dim + 63) / 64 * 64 * 2 + keys * 4 + keys * 2 + channels * 8;
  return static_cast<std::size_t>(kMaxQueries * row + 4 * 64);
}

}  // namespace vlmforge::kernels
