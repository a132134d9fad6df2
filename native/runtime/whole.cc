#include "runtime/whole.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <new>

#include "runtime/frame.h"
#include "runtime/sizes.h"
#include "runtime/thread_pool.h"

namespace vlmforge::runtime {
namespace {

using kernels::Element;
using kernels::kChannelsPerBlock;
using kernels::Range;

// Multiply-adds that are worth another thread.
constexpr std::int64_t kGrain = 1 << 16;

// Columns whose products with those behind them are one task: whole blocks, and whole panels of
// rows on most instruction sets.
constexpr std::int64_t kStripe = 96;

constexpr std::int64_t kCodesPerStep = 4;

struct Aligned {
  void operator()(std::byte* memory) const { ::operator delete[](memory, std::align_val_t{64}); }
};
using Memory = std::unique_ptr<std::byte[], Aligned>;

Memory memory_of(std::size_t bytes) {
  return Memory(static_cast<std::byte*>(::operator new[](bytes, std::align_val_t{64})));
}

// Memory of each thread.
struct Shares {
  Shares(int threads, std::size_t bytes)
      : each_((bytes + 63) / 64 * 64), whole_(memory_of(times(each_, counted(threads)))) {}

  std::byte* of(int thread) const { return whole_.get() + each_ * static_cast<std::size_t>(thread); }

 private:
  std::size_t each_;
  Memory whole_;
};

std::int64_t steps_of(std::int64_t rows) { return (rows + kCodesPerStep - 1) / kCodesPerStep; }

// Columns of x, 16 at a time, as output channels of a weight: [columns/16, rows/4, 16, 4].
void pack_block(const std::int8_t* x, std::int64_t rows, std::int64_t columns, std::int64_t block,
                std::byte* packed) {
  const std::int64_t first = block * kChannelsPerBlock;
  const std::int64_t width = std::min(kChannelsPerBlock, columns - first);
  auto* to = reinterpret_cast<std::int8_t*>(packed);
  for (std::int64_t row = 0; row < steps_of(rows) * kCodesPerStep; ++row) {
    std::int8_t* const lane = to + row / kCodesPerStep * kChannelsPerBlock * kCodesPerStep +
                              row % kCodesPerStep;
    const std::int8_t* const from = x + row * columns + first;
    for (std::int64_t i = 0; i < kChannelsPerBlock; ++i) {
      lane[i * kCodesPerStep] = row < rows && i < width ? from[i] : std::int8_t{0};
    }
  }
}

// The columns of a stripe as rows [columns, rows].
void transpose(const std::int8_t* x, std::int64_t rows, std::int64_t stride, Range columns,
               std::int8_t* to) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int8_t* const from = x + row * stride;
    for (std::int64_t i = columns.first; i < columns.last; ++i) {
      to[(i - columns.first) * rows + row] = from[i];
    }
  }
}

}  // namespace

void Whole::product(const kernels::Rows& x, const kernels::LinearWeight& weight, float* y) const {
  const std::int64_t blocks = kernels::linear_blocks(weight), unit = linear_.block_unit;
  const std::int64_t row_unit = linear_.row_unit(x.element, x.count);
  const std::int64_t worth = x.count * weight.in_features / kGrain * weight.out_features;
  const int count = static_cast<int>(std::clamp<std::int64_t>(worth, 1, threads_));
  const Memory packed = memory_of(linear_.packed_bytes(x.element, x.count, x.features));
  const kernels::PackedRows rows{packed.get(), x.element, x.count, x.features};
  const Shares scratch(count, linear_.scratch_bytes(weight));
  const kernels::Output output{y, Element::float32, weight.out_features};
  ThreadPool::instance().run(count, [&](int thread, Barrier& barrier) {
    const Range mine = share(x.count, thread, count, row_unit);
    if (mine.first < mine.last) linear_.prepare(x, mine, packed.get());
    barrier.wait();
    const Range part = share(blocks, thread, count, unit);
    if (part.first < part.last) {
      linear_.compute(rows, weight, output, {0, x.count}, part, scratch.of(thread));
    }
  });
}

void Whole::add_gram(const std::int8_t* x, std::int64_t rows, std::int64_t columns,
                     std::int32_t* sums) const {
  kernels::LinearWeight weight{};
  weight.kind = kernels::WeightKind::int8;
  weight.in_features = rows;
  weight.out_features = columns;
  const std::int64_t blocks = kernels::linear_blocks(weight);
  const std::int64_t block_bytes = steps_of(rows) * kChannelsPerBlock * kCodesPerStep;
  const Memory codes = memory_of(counted(blocks * block_bytes));
  weight.codes = codes.get();
  const std::int64_t stripes = (columns + kStripe - 1) / kStripe;
  const std::int64_t worth = columns * columns / kGrain * rows;
  const int count = static_cast<int>(std::clamp<std::int64_t>(worth, 1, threads_));
  const Shares turned(count, counted(kStripe * rows)), scratch(count, linear_.scratch_bytes(weight)),
      packed(count, linear_.packed_bytes(Element::int8, kStripe, rows));
  std::atomic<std::int64_t> next{0};
  ThreadPool::instance().run(count, [&](int thread, Barrier& barrier) {
    const Range mine = share(blocks, thread, count);
    for (std::int64_t block = mine.first; block < mine.last; ++block) {
      pack_block(x, rows, columns, block, codes.get() + block * block_bytes);
    }
    barrier.wait();
    auto* const lines = reinterpret_cast<std::int8_t*>(turned.of(thread));
    for (std::int64_t stripe = next++; stripe < stripes; stripe = next++) {
      const std::int64_t first = stripe * kStripe, width = std::min(kStripe, columns - first);
      transpose(x, rows, columns, {first, first + width}, lines);
      linear_.prepare({lines, Element::int8, width, rows, rows}, {0, width}, packed.of(thread));
      linear_.compute({packed.of(thread), Element::int8, width, rows}, weight,
                      {sums + first * columns, Element::int32, columns}, {0, width},
                      {first / kChannelsPerBlock, blocks}, scratch.of(thread));
    }
  });
}

}  // namespace vlmforge::runtime
