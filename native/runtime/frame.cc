#include "runtime/frame.h"

#include <algorithm>
#include <utility>

#include "runtime/sizes.h"

namespace vlmforge::runtime {

Frame::Frame(std::vector<std::vector<std::int64_t>> sizes, const std::vector<std::int64_t>& factors,
             std::vector<CacheView> caches, int threads)
    : sizes_(std::move(sizes)), caches_(std::move(caches)), threads_(threads) {
  for (std::size_t symbol = 0; symbol < sizes_.size(); ++symbol) {
    std::int64_t total = 0;
    std::vector<std::int64_t>& begins = begins_.emplace_back();
    for (const std::int64_t size : sizes_[symbol]) {
      begins.push_back(total);
      total += static_cast<std::int64_t>(counted(size));
      counted(total);
    }
    counted(total * factors[symbol]);
    totals_.push_back(total);
  }
}

std::int64_t Frame::count(Dim dim, int request) const {
  if (!dim.dynamic()) return dim.factor;
  return dim.factor *
         sizes_[static_cast<std::size_t>(dim.symbol)][static_cast<std::size_t>(request)];
}

std::int64_t Frame::total(Dim dim) const {
  return dim.dynamic() ? dim.factor * totals_[static_cast<std::size_t>(dim.symbol)] : dim.factor;
}

std::int64_t Frame::begin(Dim dim, int request) const {
  if (!dim.dynamic()) return 0;
  return dim.factor *
         begins_[static_cast<std::size_t>(dim.symbol)][static_cast<std::size_t>(request)];
}

std::int64_t Frame::elements(const std::vector<Dim>& shape) const {
  std::int64_t product = 1;
  for (const Dim dim : shape) product *= total(dim);
  return product;
}

std::size_t Frame::bytes(const Buffer& buffer) const {
  std::size_t product = size_of(buffer.dtype);
  for (const Dim dim : buffer.shape) product = times(product, counted(total(dim)));
  return product;
}

void Frame::place(std::vector<std::byte*> storages, std::byte* scratch,
                  std::size_t scratch_bytes) {
  storages_ = std::move(storages);
  scratch_ = scratch;
  scratch_bytes_ = scratch_bytes;
}

kernels::Range share(std::int64_t count, int thread, int threads, std::int64_t unit) {
  const std::int64_t units = (count + unit - 1) / unit;
  const auto edge = [&](std::int64_t index) {
    return std::min(count, (units * index + threads - 1) / threads * unit);
  };
  return {edge(thread), edge(thread + 1)};
}

}  // namespace vlmforge::runtime
