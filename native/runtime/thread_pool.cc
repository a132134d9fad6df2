#include "runtime/thread_pool.h"

#include <unistd.h>

#include <chrono>

#include "runtime/processor.h"

namespace vlmforge::runtime {
namespace {

using Clock = std::chrono::steady_clock;

// How long a waiting thread keeps its processor, and then lets others have it, before it sleeps.
constexpr auto kSpinning = std::chrono::microseconds(50);
constexpr auto kYielding = std::chrono::milliseconds(2);

// Where threads outnumber processors, moving from one to another gains nothing.
constexpr auto kBetweenMoves = std::chrono::milliseconds(20);

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

// Leaves a processor that another thread of the run keeps busy. The system may wake a thread there
// although others are idle, and takes some milliseconds to notice.
void part_from(int processor) {
  thread_local Clock::time_point moved{};
  if (processor != this_processor() || Clock::now() - moved < kBetweenMoves) return;
  moved = Clock::now();
  leave_processor(processor);
}

}  // namespace

// Sequentially consistent: notify_all looks for sleepers, and a processor that looked before its
// store was seen would leave asleep who just missed it.
void Round::announce_next() {
  processor_.store(this_processor(), std::memory_order_relaxed);
  count_.store(now() + 1, std::memory_order_seq_cst);
  count_.notify_all();
}

void Round::sleep_after(std::uint32_t round) const { count_.wait(round, std::memory_order_acquire); }

void Round::wait_after(std::uint32_t round) const {
  const auto start = Clock::now();
  while (count_.load(std::memory_order_acquire) == round) {
    for (int i = 0; i < 16 && count_.load(std::memory_order_acquire) == round; ++i) pause();
    const auto waited = Clock::now() - start;
    if (waited > kYielding) {
      sleep_after(round);
    } else if (waited > kSpinning) {
      std::this_thread::yield();
    }
  }
  part_from(processor_.load(std::memory_order_relaxed));
}

void Barrier::reset(int count) {
  count_ = count;
  missing_.store(count, std::memory_order_relaxed);
}

void Barrier::wait() {
  const std::uint32_t round = round_.now();
  if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    missing_.store(count_, std::memory_order_relaxed);
    round_.announce_next();
  } else {
    round_.wait_after(round);
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
  const std::uint32_t round = round_.now();
  while (static_cast<int>(workers_.size()) < threads - 1) {
    const int thread = static_cast<int>(workers_.size()) + 1;
    workers_.emplace_back([this, thread, round] { serve(thread, round); });
  }
  function_ = &function;
  threads_ = threads;
  inner_.reset(threads);
  end_.reset(static_cast<int>(workers_.size()) + 1);
  round_.announce_next();
  function(0, inner_);
  end_.wait();
}

void ThreadPool::serve(int thread, std::uint32_t round) {
  for (;; ++round) {
    round_.wait_after(round);
    if (thread < threads_) (*function_)(thread, inner_);
    end_.wait();
  }
}

}  // namespace vlmforge::runtime
