// The machine as a Python module. Only this file, bind_real.cc and bind_whole.cc know nanobind.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <tuple>

#include "bench/machine_limits.h"
#include "bind_real.h"
#include "bind_whole.h"
#include "runtime/machine.h"
#include "runtime/sizes.h"

namespace nb = nanobind;
using namespace vlmforge::runtime;

namespace {

using Array = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using WritableArray = nb::ndarray<nb::c_contig, nb::device::cpu>;

DType dtype_named(const std::string& name) {
  if (name == "int8") return DType::int8;
  if (name == "uint8") return DType::uint8;
  if (name == "int16") return DType::int16;
  if (name == "int32") return DType::int32;
  if (name == "int64") return DType::int64;
  if (name == "float32") return DType::float32;
  throw std::invalid_argument("unknown dtype " + name);
}

DType dtype_of(const Array& array) {
  if (array.dtype() == nb::dtype<std::int8_t>()) return DType::int8;
  if (array.dtype() == nb::dtype<std::uint8_t>()) return DType::uint8;
  if (array.dtype() == nb::dtype<std::int16_t>()) return DType::int16;
  if (array.dtype() == nb::dtype<std::int32_t>()) return DType::int32;
  if (array.dtype() == nb::dtype<std::int64_t>()) return DType::int64;
  if (array.dtype() == nb::dtype<float>()) return DType::float32;
  throw std::invalid_argument("a tensor has a dtype that no kernel reads");
}

Tensor tensor_of(const Array& array) {
  Tensor tensor{array.data(), dtype_of(array), {}};
  for (std::size_t i = 0; i < array.ndim(); ++i) {
    tensor.shape.push_back(static_cast<std::int64_t>(array.shape(i)));
  }
  return tensor;
}

Attribute attribute_of(nb::handle value) {
  if (nb::isinstance<nb::bool_>(value)) return nb::cast<bool>(value);
  if (nb::isinstance<nb::int_>(value)) return nb::cast<std::int64_t>(value);
  if (nb::isinstance<nb::float_>(value)) return nb::cast<double>(value);
  if (nb::isinstance<nb::str>(value)) return nb::cast<std::string>(value);
  return nb::cast<std::vector<std::int64_t>>(value);
}

// Collects a program, part by part, under the numbers that parts refer to each other by.
class ProgramBuilder {
 public:
  // `shape`: of each dimension the factor and the symbol, see Dim.
  int add_buffer(std::string name, const std::vector<std::pair<std::int64_t, int>>& shape,
                 const std::string& dtype) {
    Buffer buffer{std::move(name), {}, dtype_named(dtype)};
    for (const auto& [factor, symbol] : shape) buffer.shape.push_back({factor, symbol});
    program_.buffers.push_back(std::move(buffer));
    return static_cast<int>(program_.buffers.size()) - 1;
  }

  void add_instruction(std::string op, std::vector<int> inputs, int output, nb::dict tensors,
                       nb::dict attributes) {
    Instruction instruction{std::move(op), std::move(inputs), output, {}, {}};
    for (const auto [role, array] : tensors) {
      const Array view = nb::cast<Array>(array, false);
      instruction.tensors.emplace(nb::cast<std::string>(role), tensor_of(view));
    }
    for (const auto [name, value] : attributes) {
      if (value.is_none()) continue;
      instruction.attributes.emplace(nb::cast<std::string>(name), attribute_of(value));
    }
    program_.instructions.push_back(std::move(instruction));
  }

  Machine* build(std::vector<int> inputs, std::vector<int> outputs, const std::string& isa) {
    program_.inputs = std::move(inputs);
    program_.outputs = std::move(outputs);
    return new Machine(std::move(program_), isa);
  }

 private:
  Program program_;
};

// Input arrays, sizes of the dynamic dimensions, cache, positions it holds, output arrays.
using PyRequest = std::tuple<std::vector<Array>, std::vector<std::int64_t>, nb::object,
                             std::int64_t, std::vector<WritableArray>>;

Request request_of(const PyRequest& given) {
  const auto& [inputs, sizes, cache, past, outputs] = given;
  Request request{{}, sizes, {}, {}};
  for (const Array& array : inputs) request.inputs.push_back(array.data());
  for (const WritableArray& array : outputs) request.outputs.push_back(array.data());
  if (!cache.is_none()) {
    request.cache = {nb::cast<const Cache*>(cache), past};
  }
  return request;
}

// None, or the number of the instruction, the index, the limit that it should be below, and the
// least that it should be.
using PyFailure = std::optional<std::tuple<int, std::int64_t, std::int64_t, std::int64_t>>;

PyFailure run(Machine& machine, const std::vector<PyRequest>& given, int threads,
              const nb::object& trace) {
  std::vector<Request> requests;
  for (const PyRequest& each : given) requests.push_back(request_of(each));
  Trace callback;
  if (!trace.is_none()) {
    callback = [&](int instruction, const void* data, std::size_t size) {
      const nb::gil_scoped_acquire acquired;
      trace(instruction, nb::bytes(data, size));
    };
  }
  std::optional<Failure> failure;
  {
    const nb::gil_scoped_release released;
    failure = machine.run(requests, threads, callback);
  }
  if (!failure) return std::nullopt;
  const Violation& found = failure->violation;
  return std::tuple{failure->instruction, found.value, found.limit, found.first};
}

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const auto* const each : vlmforge::kernels::supported_kernels()) {
    names.emplace_back(each->name);
  }
  return names;
}

using Rows = nb::ndarray<std::int8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using ReadOnlyRows = nb::ndarray<const std::int8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

void require_rows(const Cache& cache, std::int64_t start, std::size_t count, std::size_t width) {
  const bool fits = start >= 0 && start <= cache.capacity() &&
                    static_cast<std::int64_t>(count) <= cache.capacity() - start &&
                    static_cast<std::int64_t>(width) == cache.row_width();
  if (!fits) throw std::invalid_argument("the rows do not fit the cache");
}

// Far larger than any cache, so that memory itself is read.
constexpr std::size_t kReadBytes = std::size_t{1} << 30;
constexpr int kRepeats = 5;

// Asks for pages of 2 MB, which are read fastest, where the system has them.
void prefer_large_pages(std::byte* data, std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr std::uintptr_t kPage = 4096;
  const auto begin = (reinterpret_cast<std::uintptr_t>(data) + kPage - 1) / kPage * kPage;
  madvise(reinterpret_cast<void*>(begin), bytes - kPage, MADV_HUGEPAGE);
#endif
}

// Bytes a second that so many threads together read.
double read_bandwidth(int threads) {
  const AlignedBytes memory(kReadBytes);
  prefer_large_pages(memory.data(), kReadBytes);
  std::memset(memory.data(), 1, kReadBytes);
  double best = 0;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    best = std::max(best, vlmforge::bench::read_bandwidth(memory.data(), kReadBytes, threads));
  }
  return best * 1e9;
}

// int8 multiplications and additions a second; 0 without a dot-product instruction.
double int8_peak(int threads) {
  double best = 0;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    best = std::max(best, vlmforge::bench::int8_peak(threads));
  }
  return best * 1e9;
}

}  // namespace

NB_MODULE(_native, module) {
  // Raised with the number of bytes asked for.
  static nb::handle out_of_memory = PyErr_NewException("vlmforge._native.OutOfMemory",
                                                       PyExc_MemoryError, nullptr);
  module.attr("OutOfMemory") = out_of_memory;
  nb::register_exception_translator([](const std::exception_ptr& pointer, void*) {
    try {
      std::rethrow_exception(pointer);
    } catch (const OutOfMemory& error) {
      PyErr_SetObject(out_of_memory.ptr(), nb::int_(error.bytes()).ptr());
    }
  });
  module.def("instruction_sets", &instruction_sets);
  module.def("read_bandwidth", &read_bandwidth, nb::call_guard<nb::gil_scoped_release>());
  module.def("int8_peak", &int8_peak, nb::call_guard<nb::gil_scoped_release>());

  bind_real(module);
  bind_whole(module);

  nb::class_<Cache>(module, "Cache")
      .def("__init__",
           [](Cache* self, const Machine& machine, std::int64_t capacity) {
             new (self) Cache(machine.cache_shapes(), capacity);
           })
      .def("read",
           [](const Cache& cache, std::int64_t start, Rows rows) {
             require_rows(cache, start, rows.shape(0), rows.shape(1));
             cache.read(start, static_cast<std::int64_t>(rows.shape(0)), rows.data());
           })
      .def("write", [](Cache& cache, std::int64_t start, ReadOnlyRows rows) {
        require_rows(cache, start, rows.shape(0), rows.shape(1));
        cache.write(start, static_cast<std::int64_t>(rows.shape(0)), rows.data());
      });

  nb::class_<Machine>(module, "Machine")
      .def_prop_ro("batchable", &Machine::batchable)
      .def("run", &run, nb::arg("requests"), nb::arg("threads"), nb::arg("trace").none())
      .def("start_profile", &Machine::start_profile)
      .def("profile", &Machine::profile);

  nb::class_<ProgramBuilder>(module, "ProgramBuilder")
      .def(nb::init<>())
      .def("add_buffer", &ProgramBuilder::add_buffer)
      .def("add_instruction", &ProgramBuilder::add_instruction)
      .def("build", &ProgramBuilder::build, nb::rv_policy::take_ownership);
}
