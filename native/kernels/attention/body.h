// The steps of attention over the dot products D and the vectors D::V of an instruction set.
//
// D has
//   V                    float vectors
//   QueryCode            what codes of queries are kept as
//   scores<R>(...)       q of R rows times all keys, int32
//   store_probabilities  V::width codes in [0, 32767], as weigh reads them
//   clear_probabilities  zeros, of some of the keys
//   weigh<R>(...)        adds the sums of probability * value of R rows to doubles
#pragma once

#include <cstring>

#include "kernels/attention/attention.h"
#include "kernels/simd/functions.h"

namespace vlmforge::kernels {
namespace {

// The parts of a thread's scratch.
struct AttentionScratch {
  std::byte* queries;         // [R, query_stride] of D::QueryCode, padded with zeros
  std::int32_t* scores;       // [R, keys]
  std::uint8_t* probability;  // [R, 2 * keys]
  double* sums;               // [R, channels]
  std::int64_t query_stride;
  std::int64_t keys;  // a multiple of 32
  std::int64_t channels;
};

VLMFORGE_INLINE AttentionScratch divide(const Attention& step, std::byte* scratch) {
  AttentionScratch s;
  s.query_stride = (step.shape.head_dim + 63) / 64 * 64;
  s.keys = (step.seen + 31) / 32 * 32;
  s.channels = step.shape.value_blocks() * 16;
  s.queries = scratch;
  scratch += kMaxQueries * s.query_stride * 2;
  s.scores = reinterpret_cast<std::int32_t*>(scratch);
  scratch += kMaxQueries * s.keys * 4;
  s.probability = reinterpret_cast<std::uint8_t*>(scratch);
  scratch += kMaxQueries * s.keys * 2;
  s.sums = reinterpret_cast<double*>(scratch);
  return s;
}

template <class Code>
VLMFORGE_INLINE const Code* query(const AttentionScratch& s, int row) {
  return reinterpret_cast<const Code*>(s.queries) + row * s.query_stride;
}

// Keys weighed before the sums are widened: products of a byte each sum within 32 bits.
inline constexpr std::int64_t kKeysPerSum = 32768;

// A row's scores on their way to probability codes.
template <class D>
struct ProbabilityRow {
  using V = typename D::V;
  const std::int32_t* scores;  // [keys]; those of keys the row does not see have no effect
  std::int32_t largest;
  float multiplier;
  std::uint8_t* output;
  std::int64_t keys;
  typename V::I sums = V::zeros();

  // Of N vectors of keys.
  template <int N>
  VLMFORGE_INLINE typename Several<V, N>::I codes(std::int64_t j) const {
    using W = Several<V, N>;
    const typename W::F x = W::load_difference(scores + j, largest) * W::splat(multiplier);
    return W::rounded(exp<W>(x) * W::splat(32767.0F));
  }

  VLMFORGE_INLINE void keep(std::int64_t j, typename V::I codes) {
    sums = V::plus(sums, codes);
    D::store_probabilities(output, keys, j, codes);
  }

  // Computes the codes [first, last); their sum. Those before `first` in its vector become zeros.
  VLMFORGE_INLINE std::int64_t compute(std::int64_t first, std::int64_t last) {
    constexpr int several = V::side_by_side;
    std::int64_t j = first / V::width * V::width;
    if (j < first) {
      const std::int64_t end = last - j < V::width ? last - j : V::width;
      keep(j, V::behind(V::first(codes<1>(j).part[0], end), first - j));
      j += V::width;
    }
    for (; j + several * V::width <= last; j += several * V::width) {
      const typename Several<V, several>::I all = codes<several>(j);
#pragma GCC unroll 16
      for (int k = 0; k < several; ++k) keep(j + k * V::width, all.part[k]);
    }
    for (; j + V::width <= last; j += V::width) keep(j, codes<1>(j).part[0]);
    if (j < last) keep(j, V::first(codes<1>(j).part[0], last - j));
    return V::total(sums);
  }
};

template <class D>
VLMFORGE_INLINE float attend_to_keys(const Query& query, const AttentionScratch& s, int row) {
  const std::int32_t* const scores = s.scores + row * s.keys;
  std::uint8_t* const output = s.probability + row * 2 * s.keys;
  std::int32_t largest = scores[query.first];
  for (std::int64_t j = query.first + 1; j < query.seen; ++j) {
    largest = scores[j] > largest ? scores[j] : largest;
  }
  std::int64_t total = 0;
  for (std::int64_t first = query.first, last; first < query.seen; first = last) {
    last = (first / kKeysPerSum + 1) * kKeysPerSum;
    if (last > query.seen) last = query.seen;
    ProbabilityRow<D> row_part{scores, largest, query.score_multiplier, output, s.keys};
    total += row_part.compute(first, last);
  }
  if (query.first > 0) D::clear_probabilities(output, s.keys, 0, query.first);
  if (query.seen < s.keys) D::clear_probabilities(output, s.keys, query.seen, s.keys);
  return static_cast<float>(total);
}

template <class V, class Code>
VLMFORGE_INLINE void write_context(const Query& query, const double* sums, std::int64_t head_dim,
                                   float total) {
  Code* const output = static_cast<Code*>(query.output);
  float context[16];
  for (std::int64_t d = 0; d < head_dim; d += 16) {
    const std::int64_t count = head_dim - d < 16 ? head_dim - d : 16;
    for (std::int64_t i = 0; i < count; ++i) context[i] = static_cast<float>(sums[d + i]);
    for_each<V>(0, count, [&]<class W>(std::int64_t i) VLMFORGE_INLINE_LAMBDA {
      const typename W::F factor = W::load(query.multiplier + d + i) / W::splat(total);
      store_code<W>(output + d + i, W::load(context + i) * factor);
    });
  }
}

template <class D, int R>
void attend_rows(const Attention& step, const AttentionScratch& s) {
  float totals[R];
  D::template scores<R>(step, s);
  for (int r = 0; r < R; ++r) totals[r] = attend_to_keys<D>(step.queries[r], s, r);
  std::memset(s.sums, 0, static_cast<std::size_t>(R * s.channels) * sizeof(double));
  for (std::int64_t first = 0; first < step.seen; first += kKeysPerSum) {
    const std::int64_t last = first + kKeysPerSum < step.seen ? first + kKeysPerSum : step.seen;
    D::template weigh<R>(step, s, Range{first / 4, (last + 3) / 4});
  }
  for (int r = 0; r < R; ++r) {
    const double* const sums = s.sums + r * s.channels;
    if (step.element == Element::int8) {
      write_context<typename D::V, std::int8_t>(step.queries[r], sums, step.shape.head_dim,
                                                totals[r]);
    } else {
      write_context<typename D::V, std::int16_t>(step.queries[r], sums, step.shape.head_dim,
                                                 totals[r]);
    }
  }
}

template <class D>
void attend(const Attention& step, std::byte* scratch) {
  const AttentionScratch s = divide(step, scratch);
  for (int r = 0; r < step.count; ++r) {
    auto* const target = reinterpret_cast<typename D::QueryCode*>(s.queries) + r * s.query_stride;
    const std::int64_t size = step.shape.head_dim;
    for (std::int64_t d = 0; d < size; ++d) target[d] = step.queries[r].q[d];
    for (std::int64_t d = size; d < s.query_stride; ++d) target[d] = 0;
  }
  switch (step.count) {
    case 1: return attend_rows<D, 1>(step, s);
    case 2: return attend_rows<D, 2>(step, s);
    case 3: return attend_rows<D, 3>(step, s);
    case 4: return attend_rows<D, 4>(step, s);
    case 5: return attend_rows<D, 5>(step, s);
    default: return attend_rows<D, 6>(step, s);
  }
}

// Probabilities as two planes of bytes: e = 256 * high + low.
struct BytePlanes {
  static VLMFORGE_INLINE void clear_probabilities(std::uint8_t* output, std::int64_t keys,
                                                  std::int64_t first, std::int64_t last) {
    const std::size_t size = static_cast<std::size_t>(last - first);
    std::memset(output + first, 0, size);
    std::memset(output + keys + first, 0, size);
  }
};

// Probabilities as int16.
struct Words {
  static VLMFORGE_INLINE void clear_probabilities(std::uint8_t* output, std::int64_t,
                                                  std::int64_t first, std::int64_t last) {
    std::memset(output + 2 * first, 0, static_cast<std::size_t>(2 * (last - first)));
  }
};

VLMFORGE_INLINE std::int32_t four_bytes(const void* p) {
  std::int32_t four;
  std::memcpy(&four, p, sizeof four);
  return four;
}

}  // namespace
}  // namespace vlmforge::kernels
