#include "runtime/cache.h"

#include <new>

#include "runtime/sizes.h"

namespace vlmforge::runtime {
namespace {

constexpr std::align_val_t kAlignment{64};

std::int64_t rounded_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

kernels::KvShape head_shape_of(CacheShape shape, std::int64_t capacity) {
  return {rounded_up(capacity, 16), shape.head_dim};
}

}  // namespace

AlignedBytes::AlignedBytes(std::size_t size)
    : data_(static_cast<std::byte*>(::operator new(size, kAlignment, std::nothrow))) {
  if (data_ == nullptr) throw OutOfMemory(size);
}

void AlignedBytes::Free::operator()(std::byte* data) const { ::operator delete(data, kAlignment); }

KvStore::KvStore(CacheShape shape, std::int64_t capacity)
    : shape_(shape),
      head_(head_shape_of(shape, capacity)),
      own_(std::make_unique<AlignedBytes>(bytes(shape, capacity))),
      memory_(own_->data()) {}

KvStore::KvStore(CacheShape shape, std::int64_t capacity, std::byte* memory)
    : shape_(shape), head_(head_shape_of(shape, capacity)), memory_(memory) {}

std::size_t KvStore::bytes(CacheShape shape, std::int64_t capacity) {
  counted(capacity);
  const kernels::KvShape head = head_shape_of(shape, capacity);
  return times(static_cast<std::size_t>(shape.kv_heads),
               static_cast<std::size_t>(head.key_bytes() + head.value_bytes()));
}

kernels::KvHead KvStore::head(std::int64_t index) const {
  std::byte* const start = memory_ + index * (head_.key_bytes() + head_.value_bytes());
  return {reinterpret_cast<std::uint8_t*>(start),
          reinterpret_cast<std::int8_t*>(start + head_.key_bytes())};
}

void KvStore::append(const std::int8_t* keys, const std::int8_t* values, std::int64_t stride,
                     std::int64_t past, std::int64_t count) const {
  for (std::int64_t g = 0; g < shape_.kv_heads; ++g) {
    const std::int64_t channel = g * shape_.head_dim;
    append_keys_values(head_, head(g), keys + channel, values + channel, stride, past, count);
  }
}

void KvStore::read(std::int64_t position, std::int8_t* key, std::int8_t* value) const {
  for (std::int64_t g = 0; g < shape_.kv_heads; ++g) {
    for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
      *key++ = kernels::key_of(head_, head(g), position, d);
      *value++ = kernels::value_of(head_, head(g), position, d);
    }
  }
}

Cache::Cache(const std::vector<CacheShape>& shapes, std::int64_t capacity) : capacity_(capacity) {
  for (const CacheShape& shape : shapes) stores_.emplace_back(shape, capacity);
}

std::int64_t Cache::row_width() const {
  std::int64_t width = 0;
  for (const KvStore& store : stores_) width += 2 * store.width();
  return width;
}

void Cache::read(std::int64_t start, std::int64_t count, std::int8_t* rows) const {
  for (std::int64_t position = start; position < start + count; ++position) {
    for (const KvStore& store : stores_) {
      store.read(position, rows, rows + store.width());
      rows += 2 * store.width();
    }
  }
}

void Cache::write(std::int64_t start, std::int64_t count, const std::int8_t* rows) const {
  const std::int64_t stride = row_width();
  for (const KvStore& store : stores_) {
    store.append(rows, rows + store.width(), stride, start, count);
    rows += 2 * store.width();
  }
}

}  // namespace vlmforge::runtime
