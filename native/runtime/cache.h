// The keys and values of a conversation, blocked for the attention kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/attention/attention.h"

namespace vlmforge::runtime {

// Memory aligned to 64 bytes, not initialized: pages never written cost nothing.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t size);

  std::byte* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte[], Free> data_;
};

// What one attention keeps: kv_heads times head_dim channels a position.
struct CacheShape {
  std::int64_t kv_heads;
  std::int64_t head_dim;
  bool operator==(const CacheShape&) const = default;
};

// One attention's keys and values.
class KvStore {
 public:
  KvStore(CacheShape shape, std::int64_t capacity);
  // In memory of `bytes(...)` bytes that outlives the store.
  KvStore(CacheShape shape, std::int64_t capacity, std::byte* memory);

  // The same memory, kept by this store.
  KvStore borrowed() const { return {shape_, head_.capacity, memory_}; }

  static std::size_t bytes(CacheShape shape, std::int64_t capacity);

  const CacheShape& shape() const { return shape_; }
  std::int64_t width() const { return shape_.kv_heads * shape_.head_dim; }
  const kernels::KvShape& head_shape() const { return head_; }
  kernels::KvHead head(std::int64_t index) const;

  // Appends rows of keys and of values, `stride` apart, behind the first `past`.
  void append(const std::int8_t* keys, const std::int8_t* values, std::int64_t stride,
              std::int64_t past, std::int64_t count) const;
  // The key and value of a position, kv_heads * head_dim codes each.
  void read(std::int64_t position, std::int8_t* key, std::int8_t* value) const;

 private:
  CacheShape shape_;
  kernels::KvShape head_;
  std::unique_ptr<AlignedBytes> own_;
  std::byte* memory_;
};

// Stores of all caching attentions of a program, in program order.
class Cache {
 public:
  Cache(const std::vector<CacheShape>& shapes, std::int64_t capacity);
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  std::int64_t capacity() const { return capacity_; }
  const std::vector<KvStore>& stores() const { return stores_; }

  // Codes of a position: the key, then the value, of every store.
  std::int64_t row_width() const;
  // Copies `count` rows from `start` on, out of the stores and into them.
  void read(std::int64_t start, std::int64_t count, std::int8_t* rows) const;
  void write(std::int64_t start, std::int64_t count, const std::int8_t* rows) const;

 private:
  std::int64_t capacity_;
  std::vector<KvStore> stores_;
};

}  // namespace vlmforge::runtime
