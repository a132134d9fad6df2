// Threads that run one function together, and wait for each other inside it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace vlmforge::runtime {

// A count of rounds, of which one thread announces the next while others wait for it. They spin for
// some microseconds, then let others have their processor, then sleep.
class Round {
 public:
  std::uint32_t now() const { return count_.load(std::memory_order_relaxed); }
  void announce_next();
  // Waits until the round after `round` is announced, and parts from the processor of who did.
  void wait_after(std::uint32_t round) const;
  // The same, asleep from the beginning and staying where it wakes.
  void sleep_after(std::uint32_t round) const;

 private:
  alignas(64) std::atomic<std::uint32_t> count_{0};  // may wrap around
  std::atomic<int> processor_{-1};  // of who announced it
};

// Lets a number of threads through once all have come.
class Barrier {
 public:
  void wait();

  // Only while no thread waits.
  void reset(int count);

 private:
  int count_ = 1;
  std::atomic<int> missing_{1};
  Round round_;
};

// Runs functions on several threads, one function at a time. Threads are started when first
// needed and sleep in between.
class ThreadPool {
 public:
  // Called for every thread; must not throw.
  using Function = std::function<void(int thread, Barrier& barrier)>;

  // The pool of this process; a forked child starts its own.
  static ThreadPool& instance();

  // Calls function(thread, barrier) for every thread in [0, threads) at the same time, the first
  // one on the calling thread.
  void run(int threads, const Function& function);

 private:
  void serve(int thread, std::uint32_t round);

  std::mutex running_;
  std::vector<std::thread> workers_;
  // The function under way; read by the workers between two rounds.
  const Function* function_ = nullptr;
  int threads_ = 0;
  Barrier inner_;
  Barrier end_;
  Round round_;
};

}  // namespace vlmforge::runtime
