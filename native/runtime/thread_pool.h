// Threads that run one function together, and wait for each other inside it.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace vlmforge::runtime {

// Lets a number of threads through once all have come. Waiting threads spin for some
// microseconds, then sleep: a processor shared with others is not kept from them.
class Barrier {
 public:
  void wait();

  // Only while no thread waits.
  void reset(int count);

 private:
  int count_ = 1;
  std::atomic<int> missing_{1};
  alignas(64) std::atomic<int> round_{0};
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
  void serve(int thread, int round);

  std::mutex running_;
  std::vector<std::thread> workers_;
  // The function under way; read by the workers between two rounds.
  const Function* function_ = nullptr;
  int threads_ = 0;
  Barrier inner_;
  Barrier end_;
  alignas(64) std::atomic<int> round_{0};
};

}  // namespace vlmforge::runtime
