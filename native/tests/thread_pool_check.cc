// Checks that no thread is left asleep when a round begins, and that threads leave processors.
//
//   thread_pool_check [ROUNDS]
//
// A thread left asleep shows as a hang.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>

#include "runtime/processor.h"
#include "runtime/thread_pool.h"

namespace {

using vlmforge::runtime::Barrier;
using vlmforge::runtime::Round;
using vlmforge::runtime::ThreadPool;
using Clock = std::chrono::steady_clock;

// Keeps the processor for a random time.
class Delay {
 public:
  Delay(unsigned seed, int least, int most) : random_(seed), nanoseconds_(least, most) {}

  void operator()() {
    const Clock::time_point end = Clock::now() + std::chrono::nanoseconds(nanoseconds_(random_));
    while (Clock::now() < end) {
    }
  }

 private:
  std::minstd_rand random_;
  std::uniform_int_distribution<int> nanoseconds_;
};

// Two threads wake each other in turn, often when the other is just about to fall asleep.
void wake_each_other(std::uint32_t rounds) {
  Round first, second;
  std::thread other([&] {
    Delay delay(1, 0, 20000);
    for (std::uint32_t round = 0; round < rounds; ++round) {
      first.sleep_after(round);
      delay();
      second.announce_next();
    }
  });
  Delay delay(2, 0, 20000);
  for (std::uint32_t round = 0; round < rounds; ++round) {
    delay();
    first.announce_next();
    second.sleep_after(round);
  }
  other.join();
}

// Two threads of the pool meet; each in turn keeps the other waiting for about as long as it spins.
void meet(int rounds) {
  ThreadPool::instance().run(2, [&](int thread, Barrier& barrier) {
    Delay delay(static_cast<unsigned>(thread + 1), 40000, 70000);
    for (int round = 0; round < rounds; ++round) {
      if (round % 2 == thread) delay();
      barrier.wait();
    }
  });
}

// Whether a thread that leaves its processor is on another one, unless there is none. The system may
// take it back at once, so it has several attempts.
bool leaves() {
  const int before = vlmforge::runtime::this_processor();
  int after = before;
  for (int attempt = 0; attempt < 10 && after == before; ++attempt) {
    vlmforge::runtime::leave_processor(before);
    after = vlmforge::runtime::this_processor();
  }
  std::printf("from processor %d to %d\n", before, after);
  return after != before || std::thread::hardware_concurrency() < 2 || before < 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 100000;
  wake_each_other(static_cast<std::uint32_t>(rounds));
  meet(rounds / 10);
  std::printf("%d rounds\n", rounds);
  return leaves() ? 0 : 1;
}
