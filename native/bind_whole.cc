#include "bind_whole.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include "bind_arrays.h"
#include "kernels/table.h"
#include "runtime/whole.h"

namespace nb = nanobind;
using namespace vlmforge::kernels;
using vlmforge::runtime::Whole;

namespace {

template <class T, std::size_t dimensions>
using Array = WholeArray<T, dimensions>;

// int8 codes, as layout.py packs them for `outputs` channels of `features` inputs.
struct Codes {
  nb::ndarray<nb::ro, nb::ndim<4>, nb::c_contig, nb::device::cpu> packed;
  std::optional<Array<const std::int8_t, 3>> group_scale;
  int group;
};

LinearWeight weight_of(const Codes& codes, std::int64_t features, std::int64_t outputs) {
  LinearWeight weight{};
  const bool int8 = codes.packed.dtype() == nb::dtype<std::int8_t>();
  require(int8 || codes.packed.dtype() == nb::dtype<std::uint8_t>());
  weight.kind = int8 ? WeightKind::int8 : WeightKind::int4;
  weight.codes = codes.packed.data();
  weight.in_features = features;
  weight.out_features = outputs;
  const std::int64_t columns = int8 ? 4 : 8;
  require(features > 0 && features <= kMaxInFeatures && outputs > 0);
  require(size(codes.packed, 0) == linear_blocks(weight) &&
          size(codes.packed, 1) == (features + columns - 1) / columns &&
          codes.packed.shape(2) == 16 && codes.packed.shape(3) == 4);
  if (codes.group_scale) {
    const bool possible = codes.group == 32 || codes.group == 64 || codes.group == 128;
    require(!int8 && possible && size(*codes.group_scale, 0) == linear_blocks(weight) &&
            size(*codes.group_scale, 1) == (features + codes.group - 1) / codes.group &&
            codes.group_scale->shape(2) == 16);
    weight.group_scale = codes.group_scale->data();
    weight.group = codes.group;
  }
  return weight;
}

template <class Code>
void product(const Whole& whole, Array<const Code, 2> x, decltype(Codes::packed) packed,
             decltype(Codes::group_scale) group_scale, int group,
             Array<const float, 1> multiplier, std::optional<Array<const std::int64_t, 1>> bias,
             Array<float, 2> output) {
  const std::int64_t rows = size(x, 0), features = size(x, 1), outputs = size(output, 1);
  LinearWeight weight = weight_of({packed, group_scale, group}, features, outputs);
  require(size(multiplier, 0) == outputs && size(output, 0) == rows);
  require(!bias || size(*bias, 0) == outputs);
  weight.multiplier = multiplier.data();
  weight.bias64 = bias ? bias->data() : nullptr;
  constexpr Element element = sizeof(Code) == 1 ? Element::int8 : Element::int16;
  const nb::gil_scoped_release released;
  if (rows > 0) whole.product({x.data(), element, rows, features, features}, weight, output.data());
}

void add_gram(const Whole& whole, Array<const std::int8_t, 2> x, Array<std::int32_t, 2> sums) {
  require(sums.shape(0) == x.shape(1) && sums.shape(1) == x.shape(1));
  require(size(x, 0) <= kMaxInFeatures);
  const nb::gil_scoped_release released;
  if (x.shape(0) > 0) whole.add_gram(x.data(), size(x, 0), size(x, 1), sums.data());
}

Whole whole_of(const std::string& isa, int threads) {
  for (const Kernels* const each : supported_kernels()) {
    if (each->name != isa || threads < 1) continue;
    const LinearVariant* const found = linear_variant(each->linear);
    return {found != nullptr ? *found : *linear_variant("scalar"), threads};
  }
  throw std::invalid_argument("no instruction set " + isa);
}

}  // namespace

void bind_whole(nb::module_& module) {
  nb::class_<Whole>(module, "Whole")
      .def("__init__", [](Whole* self, const std::string& isa,
                          int threads) { new (self) Whole(whole_of(isa, threads)); })
      .def("product", &product<std::int8_t>, nb::arg(), nb::arg(), nb::arg().none(), nb::arg(),
           nb::arg(), nb::arg().none(), nb::arg())
      .def("product", &product<std::int16_t>, nb::arg(), nb::arg(), nb::arg().none(), nb::arg(),
           nb::arg(), nb::arg().none(), nb::arg())
      .def("add_gram", &add_gram);
}
