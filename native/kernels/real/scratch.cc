#include "kernels/real/scratch.h"

#include <vector>

namespace vlmforge::kernels {

void* scratch(Scratch which, std::size_t bytes) {
  constexpr std::size_t kLine = 64;
  thread_local std::vector<std::byte> memories[2];
  std::vector<std::byte>& memory = memories[static_cast<int>(which)];
  if (memory.size() < bytes + kLine) memory.resize(bytes + kLine);
  const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
  return reinterpret_cast<void*>((address + kLine - 1) / kLine * kLine);
}

}  // namespace vlmforge::kernels
