#include "bind_real.h"

#include <nanobind/stl/string.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "bind_arrays.h"
#include "runtime/real.h"

namespace nb = nanobind;
using namespace vlmforge::kernels;
using vlmforge::runtime::Real;

namespace {

template <class T, std::size_t dimensions>
using View = nb::ndarray<T, nb::ndim<dimensions>, nb::device::cpu>;
template <class T, std::size_t dimensions>
using Whole = WholeArray<T, dimensions>;

// Whether the elements of a row stand side by side.
template <class T>
bool has_whole_rows(const View<T, 2>& array) {
  return array.stride(1) == 1 || array.shape(1) <= 1 || array.shape(0) == 0;
}

template <class T>
void require_product(const View<const T, 2>& a, const View<const T, 2>& b, const View<T, 2>& c) {
  require(size(a, 1) == size(b, 0) && size(a, 0) == size(c, 0) && size(b, 1) == size(c, 1) &&
          has_whole_rows(c));
}

template <class T>
RealProduct<T> step_of(const View<const T, 2>& a, const View<const T, 2>& b, const View<T, 2>& c,
                       Into into) {
  return {{a.data(), a.stride(0), a.stride(1)},
          {b.data(), b.stride(0), b.stride(1)},
          c.data(), c.stride(0), size(c, 0), size(c, 1), size(a, 1), into};
}

// A negative `sign` subtracts from what is there, a positive one adds to it, 0 replaces it.
template <class T>
void product(const Real& real, View<const T, 2> a, View<const T, 2> b, View<T, 2> c, int sign) {
  require_product(a, b, c);
  const Into into = sign == 0 ? Into::replaced : sign > 0 ? Into::added : Into::subtracted;
  const nb::gil_scoped_release released;
  real.product(step_of(a, b, c, into));
}

void rounded_product(const Real& real, View<const float, 2> a, View<const float, 2> b,
                     View<float, 2> c) {
  require_product(a, b, c);
  const nb::gil_scoped_release released;
  real.product16(step_of(a, b, c, Into::replaced));
}

template <class T>
void sum_rows(const Real& real, Whole<const T, 2> x, Whole<T, 1> sums) {
  require(x.shape(0) == sums.shape(0));
  const nb::gil_scoped_release released;
  real.sum(x.data(), size(x, 0), size(x, 1), sums.data());
}

void normalize(const Real& real, Whole<const float, 2> x, float epsilon, bool centred,
               Whole<float, 2> output) {
  require(x.shape(0) == output.shape(0) && x.shape(1) == output.shape(1));
  const RealNorm step{x.data(), size(x, 1), epsilon, output.data()};
  const nb::gil_scoped_release released;
  if (centred) {
    real.layer_norm(step, size(x, 0));
  } else {
    real.rms_norm(step, size(x, 0));
  }
}

void attention(const Real& real, Whole<const float, 2> q, Whole<const float, 2> k,
               Whole<const float, 2> v, Whole<const std::int64_t, 2> visible, int dim, float scale,
               Whole<float, 2> output, bool rounded) {
  const std::int64_t rows = size(q, 0), keys = size(k, 0);
  require(dim > 0 && size(q, 1) % dim == 0 && size(k, 1) % dim == 0 && size(k, 1) > 0);
  const std::int64_t heads = size(q, 1) / dim, kv_heads = size(k, 1) / dim;
  require(heads % kv_heads == 0 && size(v, 0) == keys && v.shape(1) == k.shape(1) &&
          size(visible, 0) == rows && visible.shape(1) == 2 && output.shape(0) == q.shape(0) &&
          output.shape(1) == q.shape(1));
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t* const seen = visible.data() + 2 * i;
    require(0 <= seen[0] && seen[0] < seen[1] && seen[1] <= keys);
  }
  const nb::gil_scoped_release released;
  real.attention({q.data(), k.data(), v.data(), rows, keys, heads, kv_heads, dim, visible.data(),
                  scale, output.data()},
                 rounded);
}

void hadamard(const Real& real, Whole<const float, 2> x, Whole<float, 2> output) {
  const std::int64_t block = size(x, 1);
  require(x.shape(0) == output.shape(0) && x.shape(1) == output.shape(1) &&
          block >= kLeastHadamardBlock && (block & (block - 1)) == 0);
  const nb::gil_scoped_release released;
  real.hadamard(x.data(), size(x, 0), block, output.data());
}

std::int64_t count_sizes(const Real&, Whole<const float, 2> x, Whole<const float, 1> weights, int shift,
                         Whole<double, 1> elements, Whole<double, 1> weighted) {
  constexpr int kBits = 31;
  require(x.shape(0) == weights.shape(0) && shift >= 0 && shift < kBits &&
          size(elements, 0) > (0x7F7FFFFF >> shift) && elements.shape(0) == weighted.shape(0));
  const nb::gil_scoped_release released;
  return RealSizes{x.data(), size(x, 0), size(x, 1), weights.data(), shift, elements.data(),
                   weighted.data()}
      .count();
}

RealFunction function_named(const std::string& name) {
  if (name == "sigmoid") return RealFunction::sigmoid;
  if (name == "silu") return RealFunction::silu;
  if (name == "gelu") return RealFunction::gelu;
  if (name == "quick_gelu") return RealFunction::quick_gelu;
  if (name == "gelu_tanh") return RealFunction::gelu_tanh;
  throw std::invalid_argument("unknown function " + name);
}

void apply(const Real& real, const std::string& name, Whole<const float, 1> x,
           Whole<float, 1> output) {
  require(x.shape(0) == output.shape(0));
  const RealFunction function = function_named(name);
  const nb::gil_scoped_release released;
  real.apply(function, x.data(), output.data(), size(x, 0));
}

void round_columns(const Real& real, Whole<float, 2> weight, Whole<const float, 1> scale,
                   View<const float, 2> factor, Whole<float, 2> codes, Whole<float, 2> errors,
                   float lowest, float largest) {
  const std::int64_t columns = size(weight, 0), outputs = size(weight, 1);
  require(size(scale, 0) == outputs && size(factor, 0) == columns && size(factor, 1) == columns &&
          has_whole_rows(factor));
  for (const auto& other : {codes, errors}) {
    require(size(other, 0) == columns && size(other, 1) == outputs);
  }
  const nb::gil_scoped_release released;
  real.round({weight.data(), scale.data(), factor.data(), factor.stride(0), codes.data(),
              errors.data(), columns, outputs, lowest, largest},
             outputs);
}

void descend_columns(const Real& real, Whole<float, 2> gradient, View<const float, 2> hessian,
                     View<const float, 2> scales, Whole<float, 2> codes, Whole<float, 2> errors,
                     float lowest, float largest) {
  const std::int64_t columns = size(gradient, 0), outputs = size(gradient, 1);
  require(size(hessian, 0) == columns && size(hessian, 1) == columns && has_whole_rows(hessian) &&
          size(scales, 0) == columns && size(scales, 1) == outputs && has_whole_rows(scales));
  for (const auto& other : {codes, errors}) {
    require(size(other, 0) == columns && size(other, 1) == outputs);
  }
  const nb::gil_scoped_release released;
  real.descend({gradient.data(), hessian.data(), hessian.stride(0), scales.data(), scales.stride(0),
                codes.data(), errors.data(), columns, outputs, lowest, largest},
               outputs);
}

Real real_of(const std::string& isa, int threads) {
  const RealKernels* const kernels = real_kernels_of(isa);
  if (kernels == nullptr || threads < 1) throw std::invalid_argument("no instruction set " + isa);
  return {*kernels, threads};
}

}  // namespace

void bind_real(nb::module_& module) {
  nb::class_<Real>(module, "Real")
      .def("__init__", [](Real* self, const std::string& isa,
                          int threads) { new (self) Real(real_of(isa, threads)); })
      .def("product", &product<float>)
      .def("product", &product<double>)
      .def("rounded_product", &rounded_product)
      .def("sum_rows", &sum_rows<float>)
      .def("sum_rows", &sum_rows<double>)
      .def("normalize", &normalize)
      .def("attention", &attention)
      .def("hadamard", &hadamard)
      .def("apply", &apply)
      .def("round_columns", &round_columns)
      .def("descend_columns", &descend_columns)
      .def("count_sizes", &count_sizes);
}
