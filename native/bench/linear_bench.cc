// Times the products of a 2B vision-language model beside this machine's limits, in one run.
//
//   linear_bench [--threads N] [--variant NAME] [--rows 1,8,512] [--repeats N] [--only SUBSTRING]
//                [--best 1]
//
// Weights come from different places of one large buffer, so that none is in a cache, as in a
// model. Times hold the packing of the activations. The limits are sampled before every repeat of
// every product, because other work on the machine moves them; times, bandwidth and peak are
// medians, or with `--best 1` the best of the repeats.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "../kernels/linear/linear.h"
#include "machine_limits.h"

namespace {

using namespace vlmforge::kernels;
using vlmforge::bench::int8_peak;
using vlmforge::bench::read_bandwidth;

constexpr std::size_t kPoolBytes = std::size_t{1200} << 20;
constexpr std::size_t kSampleBytes = std::size_t{32} << 20;

struct Shape {
  const char* name;
  std::int64_t out_features, in_features;
};

constexpr Shape kShapes[] = {
    {"q,o", 1536, 1536},         {"k,v", 256, 1536},         {"gate,up", 8960, 1536},
    {"down", 1536, 8960},        {"head", 151936, 1536},     {"vision qkvo", 1280, 1280},
    {"vision fc1", 5120, 1280},  {"vision fc2", 1280, 5120},
};

struct Form {
  const char* name;
  WeightKind kind;
  int group;
  Element input;
};

constexpr Form kForms[] = {
    {"int8", WeightKind::int8, 0, Element::int8},
    {"int8 x16", WeightKind::int8, 0, Element::int16},
    {"int4", WeightKind::int4, 0, Element::int8},
    {"int4 g128", WeightKind::int4, 128, Element::int8},
    {"int4 g128 x16", WeightKind::int4, 128, Element::int16},
    {"int4 g32", WeightKind::int4, 32, Element::int8},
};

struct Options {
  int threads = 2;
  std::string variant;
  std::vector<std::int64_t> rows = {1, 2, 4, 8, 82, 256, 512};
  int repeats = 9;
  std::string only;
  bool best = false;  // report the best times, for a machine with other work
};

double now() {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(time).count();
}

// Threads that wait, busily, for pieces of work, as those of a runtime do.
class Team {
 public:
  explicit Team(int threads) : threads_(threads) {
    for (int i = 1; i < threads; ++i) helpers_.emplace_back([this, i] { serve(i); });
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  ~Team() {
    stop_ = true;
    ++generation_;
    for (auto& helper : helpers_) helper.join();
  }

  template <class Work>
  void run(const Work& work) {
    const std::function<void(int)> job = [&](int thread) { work(thread, threads_); };
    job_ = &job;
    done_ = 0;
    ++generation_;
    job(0);
    while (done_.load() < threads_ - 1) {
    }
  }

 private:
  void serve(int thread) {
    long seen = 0;
    while (true) {
      while (generation_.load() == seen) {
      }
      ++seen;
      if (stop_) return;
      (*job_)(thread);
      ++done_;
    }
  }

  int threads_;
  std::atomic<long> generation_{0};
  std::atomic<int> done_{0};
  std::atomic<bool> stop_{false};
  const std::function<void(int)>* job_ = nullptr;
  std::vector<std::thread> helpers_;
};

std::byte* aligned(std::size_t bytes) {
  return static_cast<std::byte*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096));
}

class Bench {
 public:
  Bench(const LinearVariant& variant, const Options& options)
      : variant_(variant), options_(options), team_(options.threads), pool_(aligned(kPoolBytes)) {
    std::uint32_t state = 1;
    auto* words = reinterpret_cast<std::uint32_t*>(pool_);
    for (std::size_t i = 0; i < kPoolBytes / 4; ++i) {
      state = state * 1664525U + 1013904223U;
      words[i] = state | 0x11111111U;
    }
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;
  ~Bench() { std::free(pool_); }

  void measure(const Shape& shape, const Form& form, std::int64_t rows) {
    const std::int64_t groups =
        form.group != 0 ? (shape.in_features + form.group - 1) / form.group : 0;
    const std::vector<std::int8_t> scales(
        static_cast<std::size_t>((shape.out_features + 15) / 16 * 16 * groups), 3);
    const std::vector<float> multiplier(static_cast<std::size_t>(shape.out_features), 1e-4F);
    LinearWeight weight{nullptr, form.kind, form.group != 0 ? scales.data() : nullptr, form.group,
                        multiplier.data(), nullptr, nullptr, shape.in_features,
                        shape.out_features};
    const std::int64_t bytes = linear_code_bytes(weight);
    std::vector<double> seconds, bandwidth, peak;
    for (int repeat = 0; repeat < options_.repeats + 1; ++repeat) {
      bandwidth.push_back(sample_bandwidth());
      peak.push_back(int8_peak(options_.threads));
      if (offset_ + static_cast<std::size_t>(bytes) > kPoolBytes) offset_ = 0;
      weight.codes = pool_ + offset_;
      offset_ += static_cast<std::size_t>(bytes);
      seconds.push_back(once(weight, form.input, rows));
    }
    report(shape, form, rows, weight,
           {pick(seconds, 0), pick(bandwidth, 1), pick(peak, 1)});
  }

 private:
  struct Sample {
    double seconds, bandwidth, peak;
  };

  // The median, or the best: the lowest or the highest.
  double pick(std::vector<double> values, int highest) const {
    std::sort(values.begin(), values.end());
    if (options_.best) return highest != 0 ? values.back() : values.front();
    return values[values.size() / 2];
  }

  double sample_bandwidth() {
    if (offset_ + kSampleBytes > kPoolBytes) offset_ = 0;
    const std::byte* data = pool_ + offset_;
    offset_ += kSampleBytes;
    return read_bandwidth(data, kSampleBytes, options_.threads);
  }

  double once(const LinearWeight& weight, Element input, std::int64_t rows) {
    const auto x_bytes = static_cast<std::size_t>(rows * weight.in_features * 2);
    if (x_.size() < x_bytes) x_.resize(x_bytes, std::byte{3});
    y_.resize(std::max(y_.size(), static_cast<std::size_t>(rows * weight.out_features * 2)));
    const std::size_t packed_bytes = variant_.packed_bytes(input, rows, weight.in_features);
    std::byte* packed = aligned(packed_bytes);
    const std::size_t scratch = (variant_.scratch_bytes(weight) + 4095) / 4096 * 4096;
    std::byte* scratches = aligned(scratch * static_cast<std::size_t>(options_.threads) + 64);
    std::memset(packed, 0, packed_bytes);
    std::memset(scratches, 0, scratch * static_cast<std::size_t>(options_.threads));
    const Rows x{x_.data(), input, rows, weight.in_features, weight.in_features};
    const PackedRows prepared{packed, input, rows, weight.in_features};
    const Output y{y_.data(), Element::int16, weight.out_features};
    const double start = now();
    pack(x, packed);
    multiply(prepared, weight, y, scratches, scratch);
    const double seconds = now() - start;
    std::free(packed);
    std::free(scratches);
    return seconds;
  }

  void pack(const Rows& x, std::byte* packed) {
    const std::int64_t unit = variant_.row_unit(x.element, x.count);
    const std::int64_t units = (x.count + unit - 1) / unit;
    if (x.count * x.features < 65536) {
      variant_.prepare(x, {0, x.count}, packed);
      return;
    }
    team_.run([&](int thread, int threads) {
      const std::int64_t first = units * thread / threads * unit;
      const std::int64_t last = std::min(units * (thread + 1) / threads * unit, x.count);
      variant_.prepare(x, {first, last}, packed);
    });
  }

  void multiply(const PackedRows& x, const LinearWeight& weight, const Output& y,
                std::byte* scratches, std::size_t scratch) {
    const std::int64_t blocks = linear_blocks(weight);
    const std::int64_t units = (blocks + variant_.block_unit - 1) / variant_.block_unit;
    team_.run([&](int thread, int threads) {
      const std::int64_t first = units * thread / threads * variant_.block_unit;
      const std::int64_t last =
          std::min(units * (thread + 1) / threads * variant_.block_unit, blocks);
      variant_.compute(x, weight, y, {0, x.count}, {first, last},
                       scratches + scratch * static_cast<std::size_t>(thread));
    });
  }

  void report(const Shape& shape, const Form& form, std::int64_t rows,
              const LinearWeight& weight, const Sample& sample) const {
    double bytes = static_cast<double>(linear_code_bytes(weight));
    if (form.group != 0) bytes += bytes * 2 / form.group;
    const double rate = bytes / sample.seconds / 1e9;
    const double halves = form.input == Element::int16 ? 2 : 1;
    const double operations = 2.0 * halves * static_cast<double>(rows) *
                              static_cast<double>(shape.out_features * shape.in_features) /
                              sample.seconds / 1e9;
    std::printf("%-12s %-14s M %-4lld %9.3f ms %7.2f GB/s %4.0f%%  %7.1f GOP/s %4.0f%%",
                shape.name, form.name, static_cast<long long>(rows), sample.seconds * 1e3, rate,
                rate / sample.bandwidth * 100, operations,
                sample.peak > 0 ? operations / sample.peak * 100 : 0);
    std::printf("  of %.1f GB/s, %.0f GOP/s\n", sample.bandwidth, sample.peak);
    std::fflush(stdout);
  }

  const LinearVariant& variant_;
  const Options& options_;
  Team team_;
  std::byte* pool_;
  std::size_t offset_ = 0;
  std::vector<std::byte> x_, y_;
};

std::vector<std::int64_t> parse_list(const char* text) {
  std::vector<std::int64_t> values;
  for (const char* at = text; *at != '\0';) {
    char* end = nullptr;
    values.push_back(std::strtoll(at, &end, 10));
    at = *end == ',' ? end + 1 : end;
  }
  return values;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--threads") options.threads = std::atoi(argv[i + 1]);
    if (name == "--variant") options.variant = argv[i + 1];
    if (name == "--rows") options.rows = parse_list(argv[i + 1]);
    if (name == "--repeats") options.repeats = std::atoi(argv[i + 1]);
    if (name == "--best") options.best = std::atoi(argv[i + 1]) != 0;
    if (name == "--only") options.only = argv[i + 1];
  }
  return options;
}

const LinearVariant* find_variant(const std::string& name) {
  std::size_t count = 0;
  const LinearVariant* const* variants = linear_variants(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (variants[i]->supported() && (name.empty() || name == variants[i]->name)) {
      return variants[i];
    }
  }
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const LinearVariant* variant = find_variant(options.variant);
  if (variant == nullptr) {
    std::fprintf(stderr, "no variant %s on this processor\n", options.variant.c_str());
    return 1;
  }
  std::printf("%s, %d threads\n", variant->name, options.threads);
  Bench bench(*variant, options);
  for (const std::int64_t rows : options.rows) {
    for (const Shape& shape : kShapes) {
      for (const Form& form : kForms) {
        const std::string name = std::string(shape.name) + " " + form.name;
        const bool wanted = name.find(options.only) != std::string::npos;
        const bool used = form.input == Element::int8 || std::string(shape.name) == "down";
        if (wanted && used) bench.measure(shape, form, rows);
      }
    }
  }
  return 0;
}
