#include "runtime/real.h"

#include <algorithm>

#include "runtime/thread_pool.h"

namespace vlmforge::runtime {
namespace {

using kernels::Range;

// Operations that are not worth another thread.
constexpr std::int64_t kGrain = 1 << 16;

// Items begin at multiples of so many, so that tiles and lines of the cache stay whole.
constexpr std::int64_t kWhole = 64;

// Calls work(range) for parts of [0, items), an item costing so many operations.
template <class Work>
void share_out(int threads, std::int64_t items, std::int64_t cost, std::int64_t whole,
               const Work& work) {
  const std::int64_t parts = (items + whole - 1) / whole;
  const std::int64_t worth = std::max<std::int64_t>(1, items * std::max<std::int64_t>(1, cost) / kGrain);
  const int count = static_cast<int>(std::min<std::int64_t>({threads, parts, worth}));
  if (count <= 1) {
    if (items > 0) work(Range{0, items});
    return;
  }
  ThreadPool::instance().run(count, [&](int thread, Barrier&) {
    const std::int64_t first = parts * thread / count * whole;
    const std::int64_t last = std::min(items, parts * (thread + 1) / count * whole);
    if (first < last) work(Range{first, last});
  });
}

template <class T>
void share_product(int threads, const kernels::RealProduct<T>& step,
                   void (*kernel)(const kernels::RealProduct<T>&, Range, Range)) {
  if (step.m >= step.n) {
    share_out(threads, step.m, step.n * step.k, kWhole,
              [&](Range rows) { kernel(step, rows, {0, step.n}); });
  } else {
    share_out(threads, step.n, step.m * step.k, kWhole,
              [&](Range columns) { kernel(step, {0, step.m}, columns); });
  }
}

}  // namespace

void Real::product(const kernels::RealProduct<float>& step) const {
  share_product(threads_, step, kernels_.product32);
}

void Real::product(const kernels::RealProduct<double>& step) const {
  share_product(threads_, step, kernels_.product64);
}

void Real::product16(const kernels::RealProduct<float>& step) const {
  share_product(threads_, step, kernels_.product16);
}

void Real::sum(const float* x, std::int64_t rows, std::int64_t columns, float* sums) const {
  share_out(threads_, rows, columns, 1, [&](Range part) { kernels_.sum32(x, columns, sums, part); });
}

void Real::sum(const double* x, std::int64_t rows, std::int64_t columns, double* sums) const {
  share_out(threads_, rows, columns, 1, [&](Range part) { kernels_.sum64(x, columns, sums, part); });
}

void Real::rms_norm(const kernels::RealNorm& step, std::int64_t rows) const {
  share_out(threads_, rows, step.columns, 1, [&](Range part) { kernels_.rms_norm(step, part); });
}

void Real::layer_norm(const kernels::RealNorm& step, std::int64_t rows) const {
  share_out(threads_, rows, step.columns, 1, [&](Range part) { kernels_.layer_norm(step, part); });
}

void Real::attention(const kernels::RealAttention& step, bool rounded) const {
  const std::int64_t cost = kernels::RealAttention::kBlock * step.keys * step.dim;
  share_out(threads_, step.heads * step.blocks(), cost, 1,
            [&](Range tasks) { (rounded ? kernels_.attention16 : kernels_.attention)(step, tasks); });
}

void Real::hadamard(const float* x, std::int64_t blocks, std::int64_t block, float* output) const {
  share_out(threads_, blocks, 2 * block, 1,
            [&](Range part) { kernels_.hadamard(x, block, output, part); });
}

void Real::apply(kernels::RealFunction function, const float* x, float* output,
                 std::int64_t elements) const {
  share_out(threads_, elements, 8, kWhole,
            [&](Range part) { kernels_.apply(function, x, output, part); });
}

void Real::round(const kernels::RealRounding& step, std::int64_t outputs) const {
  share_out(threads_, outputs, step.columns * step.columns, kWhole,
            [&](Range part) { kernels_.round(step, part); });
}

void Real::descend(const kernels::RealDescent& step, std::int64_t outputs) const {
  share_out(threads_, outputs, step.columns * step.columns, kWhole,
            [&](Range part) { kernels_.descend(step, part); });
}

}  // namespace vlmforge::runtime
