// The arithmetic of real numbers as a class of the Python module.
#pragma once

#include <nanobind/nanobind.h>

void bind_real(nanobind::module_& module);
