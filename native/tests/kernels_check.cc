// Checks that every instruction set gives the bits of the scalar kernels, on random operands.
//
//   kernels_check [CASES [SEED]]
//
// Needs no Python, so it also runs under emulators and sanitizers.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "kernels/table.h"
#include "runtime/cache.h"

namespace {

using namespace vlmforge;
using kernels::Element;
using kernels::Kernels;
using kernels::Range;

// Random operands; every vector has exactly the size it is used with, so that a sanitizer sees
// what reaches beyond.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  std::int64_t between(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  // Spread evenly in logarithm, of either sign; now and then beyond every code.
  float factor() {
    const float magnitude = std::exp(std::uniform_real_distribution<float>(-12, 6)(engine_));
    return between(0, 1) == 0 ? magnitude : -magnitude;
  }
  float positive() { return std::fabs(factor()); }
  std::vector<float> factors(std::int64_t n) {
    std::vector<float> values(static_cast<std::size_t>(n));
    for (float& value : values) value = factor();
    return values;
  }
  std::vector<float> floats(std::int64_t n) {
    std::vector<float> values = factors(n);
    for (float& value : values) {
      if (between(0, 40) == 0) value = 3e38F;
    }
    return values;
  }
  // Codes of any size, saturated ones, or small ones.
  template <class Code>
  std::vector<Code> codes(std::int64_t n) {
    const std::int64_t limit = std::numeric_limits<Code>::max(), kind = between(0, 2);
    std::vector<Code> values(static_cast<std::size_t>(n));
    for (Code& value : values) {
      if (kind == 0) value = static_cast<Code>(between(-limit, limit));
      if (kind == 1) value = static_cast<Code>(between(0, 1) == 0 ? limit : -limit);
      if (kind == 2) value = static_cast<Code>(between(-3, 3));
    }
    return values;
  }
  Element element() { return between(0, 1) == 0 ? Element::int8 : Element::int16; }

 private:
  std::mt19937_64 engine_;
};

// The output of n elements, in two ranges that a random element parts.
using Output = std::vector<std::int16_t>;

Output blank(std::int64_t n) { return Output(static_cast<std::size_t>(n), 0x5A5A); }

// A case of one operation: computes its output with the kernels of an instruction set.
using Case = std::function<Output(const Kernels&)>;

template <class Step, class Kernel>
Output in_two(Kernel kernel, Step step, std::int64_t rows, std::int64_t columns,
              std::int64_t middle) {
  Output output = blank(rows * columns);
  step.output = reinterpret_cast<decltype(step.output)>(output.data());
  kernel(step, Range{0, middle});
  kernel(step, Range{middle, rows});
  return output;
}

Case draw_elementwise(Random& random) {
  const std::int64_t n = random.between(1, 150), middle = random.between(0, n);
  const auto x = random.codes<std::int16_t>(n), y = random.codes<std::int16_t>(n);
  const auto values = random.floats(n);
  const float a = random.factor(), b = random.factor(), scale = random.positive();
  const float inverse = random.positive();
  const float zero_point = static_cast<float>(random.between(-127, 127));
  const Element element = random.element();
  const std::int64_t op = random.between(0, 8);
  return [=](const Kernels& k) {
    const kernels::Activation activation{x.data(), scale, inverse, zero_point, nullptr, element};
    switch (op) {
      case 0:
        return in_two(k.quantize, kernels::Quantize{values.data(), scale, nullptr, element}, n, 1,
                      middle);
      case 1:
        return in_two(k.requantize, kernels::Requantize{x.data(), a, nullptr, element}, n, 1,
                      middle);
      case 2:
        return in_two(k.add, kernels::Add{x.data(), y.data(), a, b, nullptr, element}, n, 1,
                      middle);
      case 3:
        return in_two(k.mul, kernels::Mul{x.data(), y.data(), a, nullptr, element}, n, 1, middle);
      case 4: return in_two(k.silu, activation, n, 1, middle);
      case 5: return in_two(k.gelu, activation, n, 1, middle);
      case 6:
        return in_two(k.gate,
                      kernels::Gate{x.data(), y.data(), scale, inverse, a, nullptr, element}, n, 1,
                      middle);
      case 7: return in_two(k.quick_gelu, activation, n, 1, middle);
      default: return in_two(k.gelu_tanh, activation, n, 1, middle);
    }
  };
}

Case draw_hadamard(Random& random) {
  const std::int64_t block = std::int64_t{16} << random.between(0, 5);
  const std::int64_t blocks = random.between(1, 4), middle = random.between(0, blocks);
  const auto x = random.codes<std::int16_t>(blocks * block);
  const float multiplier = random.factor();
  const Element element = random.element();
  return [=](const Kernels& k) {
    const kernels::Hadamard step{x.data(), block, multiplier, nullptr, element};
    return in_two(k.hadamard, step, blocks, block, middle);
  };
}

Case draw_norm(Random& random) {
  const bool rms = random.between(0, 1) == 0;
  const std::int64_t rows = random.between(1, 4), group = random.between(1, 150);
  const std::int64_t columns = group * (rms ? random.between(1, 4) : 1);
  const std::int64_t middle = random.between(0, rows);
  const auto x = random.codes<std::int16_t>(rows * columns);
  const auto gain = random.factors(columns), bias = random.factors(columns);
  const float epsilon = random.positive(), multiplier = random.factor();
  const Element element = random.element();
  const bool gained = random.between(0, 1) == 0;
  const bool biased = !rms && random.between(0, 1) == 0;
  return [=](const Kernels& k) {
    const kernels::Norm step{x.data(), columns, group, epsilon, multiplier,
                             gained ? gain.data() : nullptr, biased ? bias.data() : nullptr,
                             nullptr, element};
    return in_two(rms ? k.rms_norm : k.layer_norm, step, rows, columns, middle);
  };
}

Case draw_rope(Random& random) {
  const std::int64_t rows = random.between(1, 4), heads = random.between(1, 4);
  const std::int64_t head_dim = 2 * random.between(1, 40), width = heads * head_dim;
  const std::int64_t middle = random.between(0, rows);
  const auto x = random.codes<std::int16_t>(rows * width);
  const auto turns = random.factors(rows * 2 * head_dim), multiplier = random.factors(width);
  const auto offset = random.factors(width);
  const bool centred = random.between(0, 1) == 1;
  return [=](const Kernels& k) {
    const kernels::Rope step{x.data(), turns.data(), multiplier.data(),
                             centred ? offset.data() : nullptr, heads, head_dim, nullptr};
    return in_two(k.rope, step, rows, width, middle);
  };
}

Case draw_attention(Random& random) {
  const std::int64_t head_dim = random.between(1, 90);
  const std::int64_t seen = random.between(1, random.between(0, 9) == 0 ? 1500 : 90);
  const int count = static_cast<int>(random.between(1, kernels::kMaxQueries));
  const auto q = random.codes<std::int8_t>(count * head_dim);
  const auto k = random.codes<std::int8_t>(seen * head_dim);
  const auto v = random.codes<std::int8_t>(seen * head_dim);
  const auto multiplier = random.factors(count * head_dim);
  const float largest = random.positive() * 1e-3F;
  const Element element = random.element();
  std::vector<kernels::Range> sees;
  for (int i = 0; i < count; ++i) {
    const std::int64_t last = i == 0 ? seen : random.between(1, seen);
    sees.push_back({random.between(0, 1) == 0 ? 0 : random.between(0, last - 1), last});
  }
  const std::int64_t middle = random.between(0, seen), spare = random.between(0, 40);
  return [=](const Kernels& kernels) {
    const runtime::KvStore store({1, head_dim}, seen + spare);
    store.append(k.data(), v.data(), head_dim, 0, middle);
    store.append(k.data() + middle * head_dim, v.data() + middle * head_dim, head_dim, middle,
                 seen - middle);
    Output output = blank(count * head_dim);
    kernels::Attention step{store.head_shape(), store.head(0), {}, count, seen, element};
    const std::int64_t bytes = element == Element::int8 ? 1 : 2;
    for (int i = 0; i < count; ++i) {
      step.queries[i] = {q.data() + i * head_dim,
                         reinterpret_cast<std::byte*>(output.data()) + i * head_dim * bytes,
                         multiplier.data() + i * head_dim, largest,
                         sees[static_cast<std::size_t>(i)].first,
                         sees[static_cast<std::size_t>(i)].last};
    }
    const runtime::AlignedBytes scratch(
        kernels::attention_scratch_bytes(step.shape, step.seen));
    kernels.attention(step, scratch.data());
    return output;
  };
}

}  // namespace

int main(int argc, char** argv) {
  const long cases = argc > 1 ? std::atol(argv[1]) : 400;
  Random random(argc > 2 ? static_cast<std::uint64_t>(std::atoll(argv[2])) : 0);
  const std::vector<const Kernels*> all = kernels::supported_kernels();
  const struct {
    const char* name;
    Case (*draw)(Random&);
  } operations[] = {{"elementwise", draw_elementwise},
                    {"hadamard", draw_hadamard},
                    {"norm", draw_norm},
                    {"rope", draw_rope},
                    {"attention", draw_attention}};
  for (long index = 0; index < cases; ++index) {
    for (const auto& operation : operations) {
      const Case one = operation.draw(random);
      const Output wanted = one(*all.back());
      for (const Kernels* const kernels : all) {
        if (one(*kernels) == wanted) continue;
        std::printf("%s differs: %s, case %ld\n", std::string(kernels->name).c_str(),
                    operation.name, index);
        return 1;
      }
    }
  }
  std::printf("%ld cases equal:", cases);
  for (const Kernels* const kernels : all) std::printf(" %s", std::string(kernels->name).c_str());
  std::printf("\n");
  return 0;
}
