// Products of codes for the compiler as a class of the Python module.
#pragma once

#include <nanobind/nanobind.h>

void bind_whole(nanobind::module_& module);
