// What this machine can do at best, measured: bytes read a second, int8 operations a second.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace vlmforge::bench {

// Runs `work(thread, threads)` on that many threads at once and returns the seconds it took.
double timed_parallel(int threads, const std::function<void(int, int)>& work);

// GB/s of `threads` threads reading `bytes` at `data` once.
double read_bandwidth(const std::byte* data, std::size_t bytes, int threads);

// GOP/s (a multiplication and an addition are two) of independent u8 x s8 dot instructions of the
// widest kind here, over about a millisecond; 0 on a processor without any.
double int8_peak(int threads);

}  // namespace vlmforge::bench
