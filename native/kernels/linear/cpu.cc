#include "cpu.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace vlmforge::kernels {

#if defined(__x86_64__)

namespace {

struct Registers {
  unsigned a, b, c, d;
};

Registers leaf(unsigned number, unsigned sub) {
  Registers r{};
  if (static_cast<unsigned>(__get_cpuid_max(0, nullptr)) >= number) __cpuid_count(number, sub, r.a, r.b, r.c, r.d);
  return r;
}

bool bit(unsigned word, int index) { return (word >> index & 1U) != 0; }

// State the operating system saves: XCR0 holds one bit for each kind of register.
bool system_saves(std::uint64_t kinds) {
  if (!bit(leaf(1, 0).c, 27)) return false;  // OSXSAVE
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return ((std::uint64_t{high} << 32 | low) & kinds) == kinds;
}

constexpr std::uint64_t kSseAvx = 0x06;
constexpr std::uint64_t kSseAvxAvx512 = 0xE6;

}  // namespace

bool cpu_is_amd() {
  const Registers r = leaf(0, 0);
  return r.b == signature_AMD_ebx && r.c == signature_AMD_ecx && r.d == signature_AMD_edx;
}

bool cpu_has_avx2() {
  return system_saves(kSseAvx) && bit(leaf(7, 0).b, 5) && bit(leaf(1, 0).c, 12);
}

bool cpu_has_avxvnni() { return cpu_has_avx2() && bit(leaf(7, 1).a, 4); }

bool cpu_has_avx512vnni() {
  const Registers seven = leaf(7, 0);
  const bool foundation = bit(seven.b, 16) && bit(seven.b, 17) && bit(seven.b, 30);
  return cpu_has_avx2() && system_saves(kSseAvxAvx512) && foundation && bit(seven.b, 31) &&
         bit(seven.c, 11);
}

bool cpu_has_avx512bf16() { return cpu_has_avx512vnni() && bit(leaf(7, 1).a, 5); }

bool cpu_has_neon_dotprod() { return false; }

#else

bool cpu_is_amd() { return false; }
bool cpu_has_avx2() { return false; }
bool cpu_has_avxvnni() { return false; }
bool cpu_has_avx512vnni() { return false; }
bool cpu_has_avx512bf16() { return false; }

bool cpu_has_neon_dotprod() {
#if defined(__aarch64__) && defined(__linux__)
  constexpr unsigned long kDotProduct = 1UL << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & kDotProduct) != 0;
#elif defined(__aarch64__) && defined(__APPLE__)
  return true;  // every Apple processor of this architecture since 2019
#else
  return false;
#endif
}

#endif

}  // namespace vlmforge::kernels
