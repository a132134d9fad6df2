#include "runtime/thread_pool.h"

#include <unistd.h>

#include <chrono>

namespace vlmforge::runtime {
namespace {

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

// Waits until `value` is no longer `old`.
void wait_for_change(const std::atomic<int>& value, int old) {
  using Clock = std::chrono::steady_clock;
  constexpr auto limit = std::chrono::microseconds(50);
  const auto start = Clock::now();
  while (value.load(std::memory_order_acquire) == old) {
    for (int i = 0; i < 16 && value.load(std::memory_order_acquire) == old; ++i) pause();
    if (Clock::now() - start > limit) {
      value.wait(old, std::memory_order_acquire);
      return;
    }
  }
}

// Stores a value that others wait for. Sequentially consistent: notify_all looks for sleepers, and
// a processor that looked before its store was seen would leave asleep who just missed it.
void announce(std::atomic<int>& value, int next) {
  value.store(next, std::memory_order_seq_cst);
  value.notify_all();
}

}  // namespace

void Barrier::reset(int count) {
  count_ = count;
  missing_.store(count, std::memory_order_relaxed);
}

void Barrier::wait() {
  const int round = round_.load(std::memory_order_relaxed);
  if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    missing_.store(count_, std::memory_order_relaxed);
    announce(round_, round + 1);
  } else {
    wait_for_change(round_, round);
  }
}

ThreadPool& ThreadPool::instance() {
  // Never destroyed: its threads end with the process. In a forked child they do not exist, so
  // the parent's pool is left alone.
  static std::mutex mutex;
  static ThreadPool* pool = nullptr;
  static pid_t owner = 0;
  const std::lock_guard lock(mutex);
  if (pool == nullptr || owner != getpid()) {
    pool = new ThreadPool;
    owner = getpid();
  }
  return *pool;
}

void ThreadPool::run(int threads, const Function& function) {
  if (threads == 1) {
    Barrier alone;
    function(0, alone);
    return;
  }
  const std::lock_guard lock(running_);
  const int round = round_.load(std::memory_order_relaxed);
  while (static_cast<int>(workers_.size()) < threads - 1) {
    const int thread = static_cast<int>(workers_.size()) + 1;
    workers_.emplace_back([this, thread, round] { serve(thread, round); });
  }
  function_ = &function;
  threads_ = threads;
  inner_.reset(threads);
  end_.reset(static_cast<int>(workers_.size()) + 1);
  announce(round_, round + 1);
  function(0, inner_);
  end_.wait();
}

void ThreadPool::serve(int thread, int round) {
  for (;; ++round) {
    wait_for_change(round_, round);
    if (thread < threads_) (*function_)(thread, inner_);
    end_.wait();
  }
}

}  // namespace vlmforge::runtime
