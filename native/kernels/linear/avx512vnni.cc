// Products with AVX-512 VNNI: a vector holds one step of 16 channels, four columns each.
#include <immintrin.h>

#include "cpu.h"
#include "dot_product.h"

namespace vlmforge::kernels {
namespace {

struct Avx512 {
  using Vector = __m512i;
  static constexpr int kVectors = 1;  // vectors of 16 channels
  static constexpr int kLanes = 16;
  static constexpr int kBytes = 64;
  static constexpr bool kSignedRows = false;
  static constexpr int kPanelRows = 12;
  static constexpr int kStagedBlocks = 2;  // 24 accumulators of 32 registers
  static constexpr int kMostBlocks = 4;    // of streamed tiles of up to kFewRows rows
  static constexpr int kFewRows = 4;
  static constexpr int kUnits = 4;  // side by side, of one row times one block

  static bool has_offset(bool wide, int row) { return !wide || row % 2 == 0; }

  static Vector zero() { return _mm512_setzero_si512(); }
  static Vector load(const void* from) { return _mm512_loadu_si512(from); }
  static void store(void* to, Vector value) { _mm512_storeu_si512(to, value); }
  static Vector offset() { return _mm512_set1_epi8(-128); }  // 128 as u8
  // Written out because compilers copy accumulators they should change in place.
  static Vector dot(Vector sum, Vector u8, Vector s8) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u8), "v"(s8));
    return sum;
  }
  static Vector add(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
  static Vector subtract(Vector a, Vector b) { return _mm512_sub_epi32(a, b); }
  static Vector multiply(Vector a, Vector b) { return _mm512_mullo_epi32(a, b); }

  static Vector broadcast(const std::uint8_t* four) {
    std::int32_t bytes;
    std::memcpy(&bytes, four, 4);
    return _mm512_set1_epi32(bytes);
  }

  template <int bits>
  static Vector shift_right(Vector a) {
    return _mm512_srai_epi32(a, bits);
  }

  static Vector scales(const std::int8_t* of_block, int) {
    std::int8_t copy[16];
    std::memcpy(copy, of_block, sizeof copy);
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(copy)));
  }

  // (a ^ 0x88) & 0xF0: a stored nibble, code + 8, becomes the code times 16 in two's complement.
  static Vector high_times_16(Vector bytes) {
    constexpr int kXorAnd = 0x28;
    const Vector turn = _mm512_set1_epi8(-120);
    return _mm512_ternarylogic_epi32(bytes, turn, _mm512_set1_epi8(-16), kXorAnd);
  }
  static Vector low_times_16(Vector bytes) { return high_times_16(_mm512_slli_epi16(bytes, 4)); }

  static Vector low_codes(Vector bytes) {
    const Vector nibbles = _mm512_and_si512(bytes, _mm512_set1_epi8(15));
    return _mm512_sub_epi8(nibbles, _mm512_set1_epi8(8));
  }
  static Vector high_codes(Vector bytes) { return low_codes(_mm512_srli_epi16(bytes, 4)); }

  template <class Sums>
  static void finish(const Sums& sums, const LinearWeight& weight, const Output& y,
                     std::int64_t row, std::int64_t block);
};

__m512i eight_sums(const std::int64_t* sums, int first) {
  return _mm512_loadu_si512(sums + first);
}

__m512i eight_sums(const Halves& sums, int first) {
  const auto* high = reinterpret_cast<const __m256i*>(sums.high + first);
  const __m512i wide = _mm512_cvtepi32_epi64(_mm256_loadu_si256(high));
  if (sums.low == nullptr) return wide;
  const auto* low = reinterpret_cast<const __m256i*>(sums.low + first);
  return _mm512_add_epi64(_mm512_slli_epi64(wide, 8),
                          _mm512_cvtepi32_epi64(_mm256_loadu_si256(low)));
}

// Eight exact sums plus their biases, rounded once.
__m256 biased(__m512i sum, const LinearWeight& weight, std::int64_t channel) {
  if (weight.bias64 != nullptr) {
    sum = _mm512_add_epi64(sum, _mm512_loadu_si512(weight.bias64 + channel));
  } else if (weight.bias32 != nullptr) {
    const auto* bias = reinterpret_cast<const __m256i*>(weight.bias32 + channel);
    sum = _mm512_add_epi64(sum, _mm512_cvtepi32_epi64(_mm256_loadu_si256(bias)));
  }
  return _mm512_cvtepi64_ps(sum);
}

__m512i codes_of(__m512 values, float limit) {
  values = _mm512_max_ps(values, _mm512_set1_ps(-limit));
  return _mm512_cvtps_epi32(_mm512_min_ps(values, _mm512_set1_ps(limit)));
}

template <class Sums>
void Avx512::finish(const Sums& sums, const LinearWeight& weight, const Output& y,
                    std::int64_t row, std::int64_t block) {
  if (channels_in(weight, block) < kChannelsPerBlock || y.element == Element::int32) {
    kernels::finish(sums, weight, y, row, block);
    return;
  }
  const std::int64_t channel = block * kChannelsPerBlock;
  const std::int64_t index = row * y.stride + channel;
  const __m512 rounded = _mm512_insertf32x8(
      _mm512_castps256_ps512(biased(eight_sums(sums, 0), weight, channel)),
      biased(eight_sums(sums, 8), weight, channel + 8), 1);
  const __m512 values = _mm512_mul_ps(rounded, _mm512_loadu_ps(weight.multiplier + channel));
  if (y.element == Element::float32) {
    _mm512_storeu_ps(static_cast<float*>(y.data) + index, values);
  } else if (y.element == Element::int16) {
    auto* target = reinterpret_cast<__m256i*>(static_cast<std::int16_t*>(y.data) + index);
    _mm256_storeu_si256(target, _mm512_cvtepi32_epi16(codes_of(values, 32767.0F)));
  } else {
    auto* target = reinterpret_cast<__m128i*>(static_cast<std::int8_t*>(y.data) + index);
    _mm_storeu_si128(target, _mm512_cvtepi32_epi8(codes_of(values, 127.0F)));
  }
}

template <Streams streams>
constexpr LinearVariant variant(const char* name) {
  return {name,
          cpu_has_avx512vnni,
          row_unit<Avx512>,
          Avx512::kMostBlocks,
          packed_bytes<Avx512>,
          scratch_bytes<Avx512>,
          prepare<Avx512>,
          compute<Avx512, streams>};
}

}  // namespace

extern const LinearVariant linear_avx512vnni_1, linear_avx512vnni_4;
constinit const LinearVariant linear_avx512vnni_1 =
    variant<Streams::one>("avx512vnni (one stream)");
constinit const LinearVariant linear_avx512vnni_4 =
    variant<Streams::several>("avx512vnni (four streams)");

}  // namespace vlmforge::kernels
