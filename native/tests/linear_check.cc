// Compares every variant of the products this processor runs with the definition, bit by bit, on
// random shapes, kinds, codes and splits. Exits with 1 and names the first case that differs.
//
//   linear_check [CASES [SEED]]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../kernels/linear/linear.h"

namespace {

using namespace vlmforge::kernels;

using Random = std::mt19937_64;

std::int64_t between(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

template <typename T>
T one_of(Random& random, std::initializer_list<T> choices) {
  return choices.begin()[between(random, 0, static_cast<std::int64_t>(choices.size()) - 1)];
}

// How codes are drawn: anywhere, at the ends of their range, or all at one end of it.
enum class Draw { uniform, ends, highest };

int draw(Random& random, Draw how, int limit) {
  if (how == Draw::highest) return limit;
  if (how == Draw::ends) return one_of(random, {-limit, limit, limit - 1, 1 - limit, 0});
  return static_cast<int>(between(random, -limit, limit));
}

struct Case {
  Element input, output;
  WeightKind kind;
  int group;      // 0: one scale a channel
  int bias_bits;  // 0, 32 or 64
  std::int64_t rows, in_features, out_features;
  std::int64_t x_stride, y_stride;

  std::string text() const {
    char buffer[256];
    std::snprintf(buffer, sizeof buffer,
                  "input %s, output %s, weight %s, group %d, bias %d bits, M %lld, K %lld, N %lld",
                  input == Element::int8 ? "int8" : "int16",
                  output == Element::int8 ? "int8" : output == Element::int16 ? "int16" : "f32",
                  kind == WeightKind::int8 ? "int8" : "int4", group, bias_bits,
                  static_cast<long long>(rows), static_cast<long long>(in_features),
                  static_cast<long long>(out_features));
    return buffer;
  }
};

std::int64_t blocks_of(const Case& c) { return (c.out_features + 15) / 16; }

std::int64_t groups_of(const Case& c) {
  return c.group == 0 ? 1 : (c.in_features + c.group - 1) / c.group;
}

// All the memory of a case. Each vector has its exact size, for the address sanitizer's sake.
struct Data {
  std::vector<std::int16_t> x;       // [rows, x_stride], of either input type
  std::vector<std::int8_t> x8;       // the same as int8
  std::vector<std::int8_t> plain;    // [N, K]
  std::vector<std::uint8_t> codes;   // in file order
  std::vector<std::int8_t> scales;   // [N/16, G, 16], empty without groups
  std::vector<float> multiplier;
  std::vector<std::int32_t> bias32;
  std::vector<std::int64_t> bias64;
};

Case draw_case(Random& random) {
  Case c{};
  c.input = one_of(random, {Element::int8, Element::int16});
  c.output = one_of(random, {Element::int8, Element::int16, Element::float32});
  c.kind = one_of(random, {WeightKind::int8, WeightKind::int4});
  c.group = c.kind == WeightKind::int4 ? one_of(random, {0, 32, 64, 128}) : 0;
  c.bias_bits = one_of(random, {0, 32, 64});
  c.rows = one_of(random, {between(random, 1, 8), between(random, 1, 40)});
  c.in_features = one_of(random, {between(random, 1, 70), between(random, 1, 700),
                                  between(random, 1, 20) * 128});
  c.out_features = one_of(random, {between(random, 1, 150), between(random, 1, 9) * 16});
  if (between(random, 0, 60) == 0) {  // the largest sums, and the folds of grouped ones
    c.in_features = one_of(random, {kMaxInFeatures, between(random, 4000, 20000)});
    c.rows = between(random, 1, 3);
    c.out_features = between(random, 1, 40);
  }
  c.x_stride = c.in_features + one_of<std::int64_t>(random, {0, 0, 5});
  c.y_stride = c.out_features + one_of<std::int64_t>(random, {0, 0, 3});
  return c;
}

void put_code(std::vector<std::uint8_t>& codes, const Case& c, std::int64_t n, std::int64_t k,
              int code) {
  const std::int64_t lane = n % 16 * 4 + k % 4;
  if (c.kind == WeightKind::int8) {
    const std::int64_t steps = (c.in_features + 3) / 4;
    codes[static_cast<std::size_t>((n / 16 * steps + k / 4) * 64 + lane)] =
        static_cast<std::uint8_t>(code);
  } else {
    const std::int64_t steps = (c.in_features + 7) / 8;
    auto& byte = codes[static_cast<std::size_t>((n / 16 * steps + k / 8) * 64 + lane)];
    const int nibble = code + 8;
    byte = static_cast<std::uint8_t>(k % 8 < 4 ? (byte & 0xF0) | nibble
                                               : (byte & 0x0F) | nibble << 4);
  }
}

float draw_multiplier(Random& random, const Case& c, double typical_sum) {
  switch (between(random, 0, 9)) {
    case 0: return 0.5F;   // ties
    case 1: return -0.5F;
    case 2: return 3.0e38F;  // infinities
    case 3: return 1.0e-42F;
    default: break;
  }
  const double limit = c.output == Element::int8 ? 127.0 : 32767.0;
  return static_cast<float>(limit * 1.3 / typical_sum *
                            std::uniform_real_distribution<double>(-1.0, 1.0)(random));
}

Data draw_data(Random& random, const Case& c) {
  Data d;
  const Draw how_x = one_of(random, {Draw::uniform, Draw::uniform, Draw::ends, Draw::highest});
  const Draw how_w = one_of(random, {Draw::uniform, Draw::uniform, Draw::ends, Draw::highest});
  const int x_limit = c.input == Element::int8 ? 127 : 32767;
  const int w_limit = c.kind == WeightKind::int8 ? 127 : 8;
  const int w_largest = c.kind == WeightKind::int8 ? 127 : 7;
  const int sign = one_of(random, {-1, 1});
  // The last row may end before its stride does.
  d.x.resize(static_cast<std::size_t>((c.rows - 1) * c.x_stride + c.in_features));
  for (auto& code : d.x) code = static_cast<std::int16_t>(draw(random, how_x, x_limit));
  d.x8.assign(d.x.begin(), d.x.end());
  d.plain.resize(static_cast<std::size_t>(c.out_features * c.in_features));
  const std::int64_t per_step = c.kind == WeightKind::int8 ? 4 : 8;
  const std::int64_t steps = (c.in_features + per_step - 1) / per_step;
  d.codes.assign(static_cast<std::size_t>(blocks_of(c) * steps * 64),
                 c.kind == WeightKind::int8 ? 0 : 0x88);
  for (std::int64_t n = 0; n < c.out_features; ++n) {
    for (std::int64_t k = 0; k < c.in_features; ++k) {
      const int code = std::min(sign * draw(random, how_w, w_limit), w_largest);
      d.plain[static_cast<std::size_t>(n * c.in_features + k)] = static_cast<std::int8_t>(code);
      put_code(d.codes, c, n, k, code);
    }
  }
  if (c.group != 0) {
    d.scales.assign(static_cast<std::size_t>(blocks_of(c) * groups_of(c) * 16), 1);
    const Draw how_s = one_of(random, {Draw::uniform, Draw::highest});
    for (auto& scale : d.scales) {
      const auto size = how_s == Draw::highest ? 127 : between(random, 1, 127);
      scale = static_cast<std::int8_t>(one_of(random, {-1, 1}) * size);
    }
  }
  const double typical = std::sqrt(static_cast<double>(c.in_features)) * x_limit * w_limit / 3 *
                         (c.group != 0 ? 128 : 1);
  for (std::int64_t n = 0; n < c.out_features; ++n) {
    d.multiplier.push_back(draw_multiplier(random, c, typical));
    const bool large = between(random, 0, 9) == 0;
    const std::int64_t wide = large ? std::int64_t{1} << 52 : 1000000;
    const std::int64_t narrow = large ? 2147483647 : 100000;
    if (c.bias_bits == 64) d.bias64.push_back(between(random, -wide, wide));
    if (c.bias_bits == 32) {
      d.bias32.push_back(static_cast<std::int32_t>(between(random, -narrow, narrow)));
    }
  }
  return d;
}

std::int64_t exact_sum(const Case& c, const Data& d, std::int64_t m, std::int64_t n) {
  const std::int64_t group = c.group != 0 ? c.group : c.in_features;
  const std::int16_t* x = d.x.data() + m * c.x_stride;
  const std::int8_t* w = d.plain.data() + n * c.in_features;
  std::int64_t total = 0;
  for (std::int64_t g = 0; g < groups_of(c); ++g) {
    std::int64_t sum = 0;
    for (std::int64_t k = g * group; k < (g + 1) * group && k < c.in_features; ++k) {
      sum += static_cast<std::int64_t>(x[k]) * w[k];
    }
    const std::int64_t index = (n / 16 * groups_of(c) + g) * 16 + n % 16;
    total += c.group != 0 ? sum * d.scales[static_cast<std::size_t>(index)] : sum;
  }
  if (c.bias_bits == 64) total += d.bias64[static_cast<std::size_t>(n)];
  if (c.bias_bits == 32) total += d.bias32[static_cast<std::size_t>(n)];
  return total;
}

template <typename Code>
void put_element(std::vector<std::byte>& y, std::int64_t index, Code value) {
  std::memcpy(y.data() + static_cast<std::size_t>(index) * sizeof value, &value, sizeof value);
}

std::size_t bytes_of(Element element) {
  return element == Element::int8 ? 1 : element == Element::int16 ? 2 : 4;
}

std::vector<std::byte> blank_output(const Case& c) {
  const std::int64_t elements = (c.rows - 1) * c.y_stride + c.out_features;
  return std::vector<std::byte>(static_cast<std::size_t>(elements) * bytes_of(c.output),
                                std::byte{0x5A});
}

std::vector<std::byte> expected(const Case& c, const Data& d) {
  std::vector<std::byte> y = blank_output(c);
  for (std::int64_t m = 0; m < c.rows; ++m) {
    for (std::int64_t n = 0; n < c.out_features; ++n) {
      const std::int64_t sum = exact_sum(c, d, m, n);
      const float value = static_cast<float>(sum) * d.multiplier[static_cast<std::size_t>(n)];
      const std::int64_t index = m * c.y_stride + n;
      if (c.output == Element::float32) {
        put_element(y, index, value);
        continue;
      }
      const float limit = c.output == Element::int8 ? 127.0F : 32767.0F;
      const float code = std::fmin(std::fmax(std::nearbyint(value), -limit), limit);
      if (c.output == Element::int8) put_element(y, index, static_cast<std::int8_t>(code));
      if (c.output == Element::int16) put_element(y, index, static_cast<std::int16_t>(code));
    }
  }
  return y;
}

LinearWeight weight_of(const Case& c, const Data& d) {
  return LinearWeight{d.codes.data(),
                      c.kind,
                      c.group != 0 ? d.scales.data() : nullptr,
                      c.group,
                      d.multiplier.data(),
                      c.bias_bits == 32 ? d.bias32.data() : nullptr,
                      c.bias_bits == 64 ? d.bias64.data() : nullptr,
                      c.in_features,
                      c.out_features};
}

// Memory aligned to 64 bytes of an exact size: overruns are seen by the address sanitizer.
struct Aligned {
  explicit Aligned(std::size_t size) : data(new (std::align_val_t{64}) std::byte[size]) {
    std::memset(data, 0xA5, size);
  }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  ~Aligned() { ::operator delete[](data, std::align_val_t{64}); }
  std::byte* data;
};

// Splits [0, count) at `cut`, rounded down to a multiple of `unit`.
std::vector<Range> split(std::int64_t count, std::int64_t cut, std::int64_t unit) {
  const std::int64_t middle = cut / unit * unit;
  if (middle <= 0 || middle >= count) return {Range{0, count}};
  return {Range{0, middle}, Range{middle, count}};
}

std::vector<std::byte> run(const LinearVariant& variant, const Case& c, const Data& d,
                           Random& random) {
  std::vector<std::byte> y = blank_output(c);
  const void* data = d.x8.data();
  if (c.input == Element::int16) data = d.x.data();
  const Rows x{data, c.input, c.rows, c.in_features, c.x_stride};
  const LinearWeight weight = weight_of(c, d);
  const Output output{y.data(), c.output, c.y_stride};
  const Aligned packed(variant.packed_bytes(c.input, c.rows, c.in_features));
  const std::int64_t unit = variant.row_unit(c.input, c.rows);
  const auto row_ranges = split(c.rows, between(random, 0, c.rows), unit);
  const auto block_ranges = split(blocks_of(c), between(random, 0, blocks_of(c)), 1);
  for (const Range& rows : row_ranges) variant.prepare(x, rows, packed.data);
  const PackedRows packed_rows{packed.data, c.input, c.rows, c.in_features};
  std::vector<std::thread> threads;
  for (const Range& blocks : block_ranges) {
    threads.emplace_back([&, blocks] {
      const Aligned scratch(variant.scratch_bytes(weight));
      for (const Range& rows : row_ranges) {
        variant.compute(packed_rows, weight, output, rows, blocks, scratch.data);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return y;
}

bool check(const LinearVariant& variant, const Case& c, const Data& d,
           const std::vector<std::byte>& want, Random& random) {
  const std::vector<std::byte> got = run(variant, c, d, random);
  if (std::memcmp(got.data(), want.data(), want.size()) == 0) return true;
  std::size_t at = 0;
  while (got[at] == want[at]) ++at;
  const std::size_t element = at / bytes_of(c.output);
  const auto stride = static_cast<std::size_t>(c.y_stride);
  std::printf("%s differs at row %zu, channel %zu: %s\n", variant.name, element / stride,
              element % stride, c.text().c_str());
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const long cases = argc > 1 ? std::atol(argv[1]) : 400;
  Random random(argc > 2 ? static_cast<std::uint64_t>(std::atoll(argv[2])) : 0);
  std::size_t count = 0;
  const LinearVariant* const* variants = linear_variants(count);
  std::string names;
  for (std::size_t i = 0; i < count; ++i) {
    if (variants[i]->supported()) names += std::string(" ") + variants[i]->name;
  }
  for (long index = 0; index < cases; ++index) {
    const Case c = draw_case(random);
    const Data d = draw_data(random, c);
    const std::vector<std::byte> want = expected(c, d);
    for (std::size_t i = 0; i < count; ++i) {
      if (variants[i]->supported() && !check(*variants[i], c, d, want, random)) return 1;
    }
  }
  std::printf("%ld cases equal:%s\n", cases, names.c_str());
  return 0;
}
