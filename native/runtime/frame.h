// Frame: what the operations of one run see of it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/types.h"
#include "runtime/cache.h"
#include "runtime/program.h"

namespace vlmforge::runtime {

// The cache of one request, if it has one.
struct CacheView {
  const Cache* cache = nullptr;
  std::int64_t past = 0;  // positions it holds
};

// The rows of all requests of a run lie one after another in every buffer. A dynamic dimension
// has a size in each request, and their sum in a buffer.
class Frame {
 public:
  // sizes[symbol][request], and of each symbol the largest factor it is multiplied by; throws
  // OutOfMemory where there are then more than kMaxRows.
  Frame(std::vector<std::vector<std::int64_t>> sizes, const std::vector<std::int64_t>& factors,
        std::vector<CacheView> caches, int threads);

  int requests() const { return static_cast<int>(caches_.size()); }
  int threads() const { return threads_; }
  void use_threads(int threads) { threads_ = threads; }
  const CacheView& cache(int request) const { return caches_[static_cast<std::size_t>(request)]; }

  // Size of a dimension in a request, in all of them together, and where a request's part begins.
  // A fixed dimension is shared by all requests.
  std::int64_t count(Dim dim, int request) const;
  std::int64_t total(Dim dim) const;
  std::int64_t begin(Dim dim, int request) const;
  std::int64_t elements(const std::vector<Dim>& shape) const;
  // Of a buffer; throws OutOfMemory where they cannot be counted.
  std::size_t bytes(const Buffer& buffer) const;

  template <class T>
  T* storage(int id) const {
    return reinterpret_cast<T*>(storages_[static_cast<std::size_t>(id)]);
  }
  std::byte* scratch(int thread) const { return scratch_ + thread * scratch_bytes_; }

  // Calls apply(Range) until all `parts` of a work are done: for a share of the thread's own, which
  // lies side by side, then for single parts, which go to whoever is free. `work` is a number of
  // Workshop::work. Which thread does a part changes no bit.
  template <class Apply>
  void divide(int work, std::int64_t parts, int thread, const Apply& apply) const {
    const std::int64_t own = threads_ == 1 ? parts : parts * kOwnEighths / 8 / threads_;
    if (own > 0) apply(kernels::Range{thread * own, (thread + 1) * own});
    for (;;) {
      const std::int64_t next =
          own * threads_ + turns_[work].fetch_add(1, std::memory_order_relaxed);
      if (next >= parts) return;
      apply(kernels::Range{next, next + 1});
    }
  }

  void place(std::vector<std::byte*> storages, std::byte* scratch, std::size_t scratch_bytes);
  // `turns` are zeros.
  void use_turns(std::atomic<std::int64_t>* turns) { turns_ = turns; }

 private:
  static constexpr std::int64_t kOwnEighths = 5;

  std::vector<std::vector<std::int64_t>> sizes_;
  std::vector<std::vector<std::int64_t>> begins_;
  std::vector<std::int64_t> totals_;
  std::vector<CacheView> caches_;
  int threads_;
  std::vector<std::byte*> storages_;
  std::byte* scratch_ = nullptr;
  std::size_t scratch_bytes_ = 0;
  std::atomic<std::int64_t>* turns_ = nullptr;
};

// The part of `count` items that a thread takes, in steps of `unit`: always the same, the first
// thread's if there is one item.
kernels::Range share(std::int64_t count, int thread, int threads, std::int64_t unit = 1);

}  // namespace vlmforge::runtime
