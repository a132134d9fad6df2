// What the kernels of all operations share.
#pragma once

#include <cstdint>

#include "kernels/linear/linear.h"
