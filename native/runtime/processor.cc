#include "runtime/processor.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace vlmforge::runtime {

#if defined(__linux__)

int this_processor() { return sched_getcpu(); }

void leave_processor(int processor) {
  cpu_set_t allowed;
  if (processor < 0 || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  cpu_set_t others = allowed;
  CPU_CLR(static_cast<unsigned>(processor), &others);
  if (CPU_COUNT(&others) == 0) return;
  sched_setaffinity(0, sizeof others, &others);
  sched_setaffinity(0, sizeof allowed, &allowed);
}

#else

int this_processor() { return -1; }

void leave_processor(int) {}

#endif

}  // namespace vlmforge::runtime
