// What the variants of attention share at run time: the cache's layout and scratch.
#include "kernels/attention/attention.h"

#include <cstring>

namespace vlmforge::kernels {
namespace {

// Writes up to four channels of a key, those missing as code 0.
inline void append_channels(const std::int8_t* k, std::size_t count, std::uint8_t* target) {
  std::uint32_t four = 0;
  std::memcpy(&four, k, count);
  four ^= 0x80808080U;
  std::memcpy(target, &four, sizeof four);
}

void append_key(const KvShape& shape, std::uint8_t* keys, const std::int8_t* k,
                std::int64_t position) {
  const std::int64_t steps = shape.key_steps(), whole = shape.head_dim / 4;
  std::uint8_t* target = keys + position / 16 * steps * 64 + position % 16 * 4;
  for (std::int64_t i = 0; i < whole; ++i, k += 4, target += 64) append_channels(k, 4, target);
  if (whole < steps) append_channels(k, static_cast<std::size_t>(shape.head_dim % 4), target);
}

void append_value(const KvShape& shape, std::int8_t* values, const std::int8_t* v,
                  std::int64_t position) {
  std::int8_t* const target = values + position / 4 * 64 + position % 4;
  for (std::int64_t d = 0; d < shape.head_dim; ++d) {
    target[d / 16 * shape.capacity * 16 + d % 16 * 4] = v[d];
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
void append_four_values(const KvShape& shape, std::int8_t* values, const std::int8_t* v,
                        std::int64_t stride, std::int64_t position) {
  std::int8_t* target = values + position / 4 * 64;
  const std::int64_t whole = shape.head_dim / 16;
  for (std::int64_t i = 0; i < whole; ++i, v += 16, target += shape.capacity * 16) {
    interleave(v, stride, 16, target);
  }
  interleave(v, stride, shape.head_dim % 16, target);
}

}  // namespace

void append_keys_values(const KvShape& shape, const KvHead& head, const std::int8_t* k,
                        const std::int8_t* v, std::int64_t stride, std::int64_t past,
                        std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) append_key(shape, head.keys, k + i * stride, past + i);
  for (std::int64_t i = 0; i < count;) {
    if ((past + i) % 4 == 0 && i + 4 <= count) {
      append_four_values(shape, head.values, v + i * stride, stride, past + i);
      i += 4;
    } else {
      append_value(shape, head.values, v + i * stride, past + i);
      i += 1;
    }
  }
}

std::int8_t key_of(const KvShape& shape, const KvHead& head, std::int64_t position,
                   std::int64_t channel) {
  const std::int64_t block = position / 16 * shape.key_steps() + channel / 4;
  const std::uint8_t code = head.keys[block * 64 + position % 16 * 4 + channel % 4];
  return static_cast<std::int8_t>(code ^ 0x80U);
}

std::int8_t value_of(const KvShape& shape, const KvHead& head, std::int64_t position,
                     std::int64_t channel) {
  const std::int64_t block = channel / 16 * shape.capacity / 4 + position / 4;
  return head.values[block * 64 + channel % 16 * 4 + position % 4];
}

std::size_t attention_scratch_bytes(const KvShape& shape, std::int64_t seen) {
  const std::int64_t keys = (seen + 31) / 32 * 32, channels = shape.value_blocks() * 16;
  // Queries, scores, two planes of probabilities, sums; every row is a multiple of 32 bytes.
  const std::int64_t row = (shape.head_dim + 63) / 64 * 64 + keys * 4 + keys * 2 + channels * 8;
  return static_cast<std::size_t>(kMaxQueries * row + 4 * 64);
}

}  // namespace vlmforge::kernels
