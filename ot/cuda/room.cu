#include "monge/ot/cuda/backend.h"
#include "monge/ot/cuda/passes.h"

namespace monge::ot::cuda {
namespace {

template <class T>
class CudaPasses final : public Passes<T> {
 public:
  explicit CudaPasses(const Room& room) : room_(room) {}

  void softmin(const Scores<T>& s, T epsilon, VectorView<T> out, const Context& context) override {
    cuda::softmin(room_, s, epsilon, out, context);
  }
  void hardmin(const Scores<T>& s, MatrixView<T> values, MatrixView<std::int32_t> columns,
               const Context& context) override {
    cuda::hardmin(room_, s, values, columns, context);
  }
  void sample(const Scores<T>& s, T epsilon, const Rng& rng, std::uint64_t first, VectorView<std::int32_t> columns,
              const Context& context) override {
    cuda::sample(room_, s, epsilon, rng, first, columns, context);
  }
  void histogram(const Scores<T>& s, T epsilon, VectorView<const T> f, VectorView<const T> weights,
                 VectorView<double> mass, const Context& context) override {
    cuda::histogram(room_, s, epsilon, f, weights, mass, context);
  }
  void apply(const Scores<T>& s, T epsilon, MatrixView<const T> values, MatrixView<T> out,
             const Context& context) override {
    cuda::apply(room_, s, epsilon, values, out, context);
  }
  void balance(const Scores<T>& s, T epsilon, VectorView<const double> weights, VectorView<double> f,
               VectorView<double> mass, const Context& context) override {
    cuda::balance(room_, s, epsilon, weights, f, mass, context);
  }
  void energy(const Scores<T>& s, T epsilon, VectorView<const double> f, VectorView<const T> w,
              VectorView<const T> bias, MatrixView<double> out, const Context& context) override {
    cuda::energy(room_, s, epsilon, f, w, bias, out, context);
  }
  void assign(MatrixView<const T> x, MatrixView<const T> y, Index n, VectorView<std::int32_t> columns,
              VectorView<double> f, VectorView<double> g, const Context& context) override {
    cuda::assign(room_, x, y, n, columns, f, g, context);
  }
  bool repeats(const Scores<T>& s) const override { return cuda::repeats(s); }
  void store(const Scores<T>& s, MatrixView<T> out, const Context& context) override {
    cuda::store(room_, s, out, context);
  }

 private:
  const Room& room_;
};

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(int index) : room_{index, nullptr, nullptr, multiplies_by_warpgroups(index)} {
    const DeviceScope scope(index);
    room_.stream = make_stream();
    room_.copies = make_stream();
  }
  ~CudaBackend() override {
    destroy_stream(room_.stream);
    destroy_stream(room_.copies);
  }

  Device device() const override { return {DeviceType::cuda, room_.device}; }
  void* allocate(std::size_t bytes) override {
    const DeviceScope scope(room_.device);
    return cuda::allocate(bytes);
  }
  void deallocate(void* memory) noexcept override { cuda::deallocate(memory); }
  void* make_stream() override {
    const DeviceScope scope(room_.device);
    return cuda::make_stream();
  }
  void destroy_stream(void* stream) noexcept override { cuda::destroy_stream(stream); }
  void copy(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
            std::size_t rows) override {
    const DeviceScope scope(room_.device);
    synchronize_all();  // work on streams of the caller's may be on what is copied
    copy_on(room_.stream, to, to_pitch, from, from_pitch, width, rows);
    synchronize(room_.stream);
  }
  std::shared_ptr<const PreparedPoints> prepare(MatrixView<const float> y, const Context& context,
                                                const Uncentred& before, const PreparedBytes& most) override {
    return cuda::prepare(room_, y, context, before, most);
  }
  void normals(const Rng& rng, std::uint64_t first, MatrixView<float> out, const Context& context) override {
    cuda::normals(room_, rng, first, out, context);
  }
  void recombine(const Recombination& r, MatrixView<float> scores, MatrixView<std::int32_t> columns,
                 const Context& context) override {
    cuda::recombine(room_, r, scores, columns, context);
  }
  Passes<float>& passes(float) override { return float_; }
  Passes<double>& passes(double) override { return double_; }

 private:
  Room room_;
  CudaPasses<float> float_{room_};
  CudaPasses<double> double_{room_};
};

}  // namespace

std::unique_ptr<Backend> make_room(int device) { return std::make_unique<CudaBackend>(device); }

}  // namespace monge::ot::cuda
