// Processors that threads run on.
#pragma once

namespace vlmforge::runtime {

// The processor the calling thread runs on, or -1 where the system does not say.
int this_processor();

// Moves the calling thread to another processor, if it may run on one. Where it may run later is not
// changed.
void leave_processor(int processor);

}  // namespace vlmforge::runtime
