// Products with AVX-VNNI: two vectors hold one step of 16 channels, four columns each.
#include <immintrin.h>

#include "avx2_finish.h"
#include "cpu.h"
#include "dot_product.h"

namespace vlmforge::kernels {
namespace {

struct AvxVnni {
  using Vector = __m256i;
  static constexpr int kVectors = 2;  // of 16 channels
  static constexpr int kLanes = 8;
  static constexpr int kBytes = 32;
  static constexpr bool kSignedRows = false;
  static constexpr int kPanelRows = 6;
  static constexpr int kStagedBlocks = 1;  // 12 accumulators of 16 registers
  static constexpr int kMostBlocks = 2;    // of streamed tiles of up to kFewRows rows
  static constexpr int kFewRows = 2;
  static constexpr int kUnits = 2;  // side by side, of one row times one block

  static bool has_offset(bool wide, int row) { return !wide || row % 2 == 0; }

  static Vector zero() { return _mm256_setzero_si256(); }
  static Vector load(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
  }
  static void store(void* to, Vector value) {
    _mm256_storeu_si256(static_cast<__m256i*>(to), value);
  }
  static Vector offset() { return _mm256_set1_epi8(-128); }  // 128 as u8
  // Written out because compilers copy accumulators they should change in place.
  static Vector dot(Vector sum, Vector u8, Vector s8) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(u8), "x"(s8));
    return sum;
  }
  static Vector add(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
  static Vector subtract(Vector a, Vector b) { return _mm256_sub_epi32(a, b); }
  static Vector multiply(Vector a, Vector b) { return _mm256_mullo_epi32(a, b); }

  static Vector broadcast(const std::uint8_t* four) {
    std::int32_t bytes;
    std::memcpy(&bytes, four, 4);
    return _mm256_set1_epi32(bytes);
  }

  template <int bits>
  static Vector shift_right(Vector a) {
    return _mm256_srai_epi32(a, bits);
  }

  static Vector scales(const std::int8_t* of_block, int part) {
    const auto* eight = reinterpret_cast<const __m128i*>(of_block + part * kLanes);
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(eight));
  }

  // (a & 0xF0) ^ 0x80: a stored nibble, code + 8, becomes the code times 16.
  static Vector high_times_16(Vector bytes) {
    const Vector nibbles = _mm256_and_si256(bytes, _mm256_set1_epi8(-16));
    return _mm256_xor_si256(nibbles, _mm256_set1_epi8(-128));
  }
  static Vector low_times_16(Vector bytes) { return high_times_16(_mm256_slli_epi16(bytes, 4)); }

  static Vector low_codes(Vector bytes) {
    const Vector nibbles = _mm256_and_si256(bytes, _mm256_set1_epi8(15));
    return _mm256_sub_epi8(nibbles, _mm256_set1_epi8(8));
  }
  static Vector high_codes(Vector bytes) { return low_codes(_mm256_srli_epi16(bytes, 4)); }

  template <class Sums>
  static void finish(const Sums& sums, const LinearWeight& weight, const Output& y,
                     std::int64_t row, std::int64_t block) {
    finish_avx2(sums, weight, y, row, block);
  }
};

}  // namespace

extern const LinearVariant linear_avxvnni;
const LinearVariant linear_avxvnni{"avxvnni",
                                   cpu_has_avxvnni,
                                   row_unit<AvxVnni>,
                                   AvxVnni::kMostBlocks,
                                   packed_bytes<AvxVnni>,
                                   scratch_bytes<AvxVnni>,
                                   prepare<AvxVnni>,
                                   compute<AvxVnni, Streams::several>};

}  // namespace vlmforge::kernels
