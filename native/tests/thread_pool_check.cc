// Checks that no thread of a pool is left asleep at a barrier.
//
//   thread_pool_check [ROUNDS]
//
// One thread keeps the other waiting for about as long as it spins, so that many fall asleep just
// when they are to go on. A failure is a hang.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "runtime/thread_pool.h"

namespace {

using Clock = std::chrono::steady_clock;

void stay_away(std::chrono::nanoseconds time) {
  const Clock::time_point end = Clock::now() + time;
  while (Clock::now() < end) {
  }
}

void meet(int thread, vlmforge::runtime::Barrier& barrier, long rounds) {
  std::minstd_rand random(static_cast<unsigned>(thread + 1));
  std::uniform_int_distribution<int> nanoseconds(40000, 70000);
  for (long round = 0; round < rounds; ++round) {
    if (round % 2 == thread) stay_away(std::chrono::nanoseconds(nanoseconds(random)));
    barrier.wait();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const long rounds = argc > 1 ? std::atol(argv[1]) : 100000;
  vlmforge::runtime::ThreadPool::instance().run(
      2, [&](int thread, vlmforge::runtime::Barrier& barrier) { meet(thread, barrier, rounds); });
  std::printf("%ld rounds\n", rounds);
}
