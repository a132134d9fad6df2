// What the bodies of kernels are declared with.
//
// Headers of this folder and every body.h put their functions in unnamed namespaces on purpose.
// They are compiled once for each instruction set; under a common name the linker would keep one
// copy, possibly of an instruction set that the processor lacks.
#pragma once

// Needed where a function only fetches ahead, too: GCC drops calls of it as calls without effect.
#define VLMFORGE_INLINE inline __attribute__((always_inline))

// The same for a lambda, between its parameters and its body.
#define VLMFORGE_INLINE_LAMBDA __attribute__((always_inline))
