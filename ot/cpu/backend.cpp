#include "monge/ot/core/backend.h"

#include <cstdlib>
#include <cstring>

#include "monge/ot/cpu/digits.h"
#include "monge/ot/cpu/huge_pages.h"
#include "monge/ot/cpu/passes.h"

namespace monge::ot {
namespace {

constexpr std::size_t alignment = 64;

template <class T>
class CpuPasses final : public Passes<T> {
 public:
  void softmin(const Scores<T>& s, T epsilon, VectorView<T> out, const Context& context) override {
    cpu::softmin(s, epsilon, out, context);
  }
  void hardmin(const Scores<T>& s, MatrixView<T> values, MatrixView<std::int32_t> columns,
               const Context& context) override {
    cpu::hardmin(s, values, columns, context);
  }
  void sample(const Scores<T>& s, T epsilon, const Rng& rng, std::uint64_t first, VectorView<std::int32_t> columns,
              const Context& context) override {
    cpu::sample(s, epsilon, rng, first, columns, context);
  }
  void histogram(const Scores<T>& s, T epsilon, VectorView<const T> f, VectorView<const T> weights,
                 VectorView<double> mass, const Context& context) override {
    cpu::histogram(s, epsilon, f, weights, mass, context);
  }
  void apply(const Scores<T>& s, T epsilon, MatrixView<const T> values, MatrixView<T> out,
             const Context& context) override {
    cpu::apply(s, epsilon, values, out, context);
  }
  void balance(const Scores<T>& s, T epsilon, VectorView<const double> weights, VectorView<double> f,
               VectorView<double> mass, const Context& context) override {
    cpu::balance(s, epsilon, weights, f, mass, context);
  }
  void energy(const Scores<T>& s, T epsilon, VectorView<const double> f, VectorView<const T> w,
              VectorView<const T> bias, MatrixView<double> out, const Context& context) override {
    cpu::energy(s, epsilon, f, w, bias, out, context);
  }
  void assign(MatrixView<const T> x, MatrixView<const T> y, Index n, VectorView<std::int32_t> columns,
              VectorView<double> f, VectorView<double> g, const Context& context) override {
    cpu::assign(x, y, n, columns, f, g, context);
  }
  bool repeats(const Scores<T>& s) const override { return cpu::repeats(s); }
  void store(const Scores<T>& s, MatrixView<T> out, const Context& context) override { cpu::store(s, out, context); }
};

class CpuBackend final : public Backend {
 public:
  Device device() const override { return {}; }
  void* allocate(std::size_t bytes) override {
    void* memory = nullptr;
    const std::size_t unit = bytes < 2 * cpu::huge_page ? alignment : cpu::huge_page;
    if (bytes <= PTRDIFF_MAX) memory = std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
    if (memory && unit == cpu::huge_page) cpu::prefer_huge_pages(memory, bytes);
    if (!memory) throw Error(Errc::out_of_memory, concat("allocate: no memory for ", bytes, " bytes"));
    return memory;
  }
  void deallocate(void* memory) noexcept override { std::free(memory); }
  void* make_stream() override { return nullptr; }
  void destroy_stream(void*) noexcept override {}
  void copy(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
            std::size_t rows) override {
    for (std::size_t r = 0; r < rows; ++r)
      std::memcpy(static_cast<char*>(to) + r * to_pitch, static_cast<const char*>(from) + r * from_pitch, width);
  }
  std::shared_ptr<const PreparedPoints> prepare(MatrixView<const float> y, const Context& context, const Uncentred&,
                                                const PreparedBytes&) override {
    if (!cpu::multiplies_digits(y.cols)) return nullptr;
    return std::make_shared<cpu::Digits>(cpu::read_digits(y, context));
  }
  void normals(const Rng& rng, std::uint64_t first, MatrixView<float> out, const Context& context) override {
    cpu::normals(rng, first, out, context);
  }
  void recombine(const Recombination& r, MatrixView<float> scores, MatrixView<std::int32_t> columns,
                 const Context& context) override {
    cpu::recombine(r, scores, columns, context);
  }
  Passes<float>& passes(float) override { return float_; }
  Passes<double>& passes(double) override { return double_; }

 private:
  CpuPasses<float> float_;
  CpuPasses<double> double_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend() { return std::make_unique<CpuBackend>(); }

}  // namespace monge::ot
