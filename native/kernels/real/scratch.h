// Memory of a thread that kernels compute in. Not a template: the linker keeps one copy of these,
// which must run on every processor.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vlmforge::kernels {

enum class Scratch : std::uint8_t { panels, scores };

// At least so many bytes, on a line of the cache; valid until the thread asks for the same again.
void* scratch(Scratch which, std::size_t bytes);

}  // namespace vlmforge::kernels
