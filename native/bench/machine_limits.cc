#include "machine_limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "../kernels/linear/cpu.h"

namespace vlmforge::bench {
namespace {

constexpr long kDotRounds = 200000;
constexpr int kDotsPerRound = 12;

double now() {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(time).count();
}

// Reads memory in four places at once; the result keeps the reads from being left out.
std::uint64_t read_all(const std::uint64_t* data, std::size_t words) {
  std::uint64_t sums[32] = {};
  for (std::size_t start = 0; start + 32 <= words; start += 32) {
    __builtin_prefetch(data + start + 512);
    __builtin_prefetch(data + start + 520);
    __builtin_prefetch(data + start + 528);
    __builtin_prefetch(data + start + 536);
    for (std::size_t lane = 0; lane < 32; ++lane) sums[lane] ^= data[start + lane];
  }
  std::uint64_t result = 0;
  for (const std::uint64_t sum : sums) result ^= sum;
  return result;
}

#if defined(__x86_64__)

#define VLMFORGE_DOT(sum, a, b) __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b))
#define VLMFORGE_DOTS(x)                                                          \
  VLMFORGE_DOT(s0, x, x);                                                         \
  VLMFORGE_DOT(s1, x, x);                                                         \
  VLMFORGE_DOT(s2, x, x);                                                         \
  VLMFORGE_DOT(s3, x, x);                                                         \
  VLMFORGE_DOT(s4, x, x);                                                         \
  VLMFORGE_DOT(s5, x, x);                                                         \
  VLMFORGE_DOT(s6, x, x);                                                         \
  VLMFORGE_DOT(s7, x, x);                                                         \
  VLMFORGE_DOT(s8, x, x);                                                         \
  VLMFORGE_DOT(s9, x, x);                                                         \
  VLMFORGE_DOT(s10, x, x);                                                        \
  VLMFORGE_DOT(s11, x, x)

using Vector512 = long long __attribute__((vector_size(64)));

__attribute__((target("avx512f,avx512vnni"), noinline)) void dots512() {
  Vector512 s0{}, s1{}, s2{}, s3{}, s4{}, s5{}, s6{}, s7{}, s8{}, s9{}, s10{}, s11{}, x{};
  for (long round = 0; round < kDotRounds; ++round) {
    VLMFORGE_DOTS(x);
  }
}

#undef VLMFORGE_DOTS
#undef VLMFORGE_DOT

#endif

}  // namespace

double timed_parallel(int threads, const std::function<void(int, int)>& work) {
  std::atomic<int> missing = threads;
  std::vector<double> starts(static_cast<std::size_t>(threads));
  std::vector<double> ends(static_cast<std::size_t>(threads));
  const auto run = [&](int thread) {
    --missing;
    while (missing > 0) {  // a thread that slept would begin late
    }
    starts[static_cast<std::size_t>(thread)] = now();
    work(thread, threads);
    ends[static_cast<std::size_t>(thread)] = now();
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
  run(0);
  for (std::thread& other : others) other.join();
  return *std::max_element(ends.begin(), ends.end()) -
         *std::min_element(starts.begin(), starts.end());
}

double read_bandwidth(const std::byte* data, std::size_t bytes, int threads) {
  const std::size_t words = bytes / sizeof(std::uint64_t) / static_cast<std::size_t>(threads);
  const double seconds = timed_parallel(threads, [&](int thread, int) {
    const auto* start = reinterpret_cast<const std::uint64_t*>(data);
    volatile std::uint64_t sink = read_all(start + static_cast<std::size_t>(thread) * words, words);
    static_cast<void>(sink);
  });
  return static_cast<double>(words * 8) * threads / seconds / 1e9;
}

double int8_peak(int threads) {
#if defined(__x86_64__)
  if (!kernels::cpu_has_avx512vnni()) return 0;
  const double seconds = timed_parallel(threads, [](int, int) { dots512(); });
  return 128.0 * kDotsPerRound * kDotRounds * threads / seconds / 1e9;
#else
  return 0 * threads;
#endif
}

}  // namespace vlmforge::bench
