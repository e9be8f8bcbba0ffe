#include "monge/ot/cuda/slabs.h"

#include <algorithm>

#include "monge/ot/cuda/split_kernel.h"

namespace monge::ot::cuda {
namespace {

// What is `by` elements further on, be that within the array or not.
template <class T>
const T* shifted(const T* pointer, Index by) {
  return reinterpret_cast<const T*>(reinterpret_cast<std::intptr_t>(pointer) + by * static_cast<Index>(sizeof(T)));
}

// Coordinates as ot/compact_points.h has them, less the centre; the same bits as on the host.
struct TableReader {
  const std::uint8_t* data;
  const float* table;
  const double* centre;
  Index cols;

  MONGE_HOST_DEVICE float operator()(Index i, Index k) const {
    return static_cast<float>(static_cast<double>(table[data[i * cols + k]]) - centre[k]);
  }
};
struct ShortReader {
  const std::uint16_t* data;
  const double* centre;
  Index cols;

  MONGE_HOST_DEVICE float operator()(Index i, Index k) const {
    const float value = float_of(static_cast<std::uint32_t>(data[i * cols + k]) << 16);
    return static_cast<float>(static_cast<double>(value) - centre[k]);
  }
};

}  // namespace

Slabs::Slabs(Call& call, const Problem<float>& p)
    : call_(call),
      points_(*p.streamed),
      all_(p),
      count_((points_.rows() + points_.slab - 1) / points_.slab),
      chunks_(call.scratch<Chunk>(chunks_for(points_.slab, points_.dims()))),
      unit_(call.scratch<float>(points_.slab)) {
  if (points_.is_here()) return;
  for (Place& place : places_) {
    place.memory = call.scratch<std::uint8_t>(points_.slab * points_.dims() * points_.bytes);
    record(place.read.get(), call.stream());  // the memory is the stream's
  }
  call.reads_host();
  copy(0);
}

Slabs::~Slabs() {
  if (points_.is_here()) return;
  try {
    if (at_ < count_) synchronize(call_.copies());  // an exception has left copies under way
  } catch (const Error&) {                          // a device that has failed copies no more
  }
}

Index Slabs::size(Index slab) const { return std::min(points_.slab, points_.rows() - first(slab)); }

void Slabs::copy(Index slab) {
  const Place& place = places_[slab % 2];
  const std::size_t width = static_cast<std::size_t>(points_.dims() * points_.bytes);
  wait(call_.copies(), place.read.get());
  if (points_.bytes == 4)
    copy_on(call_.copies(), place.memory, width, points_.floats.row(first(slab)),
            sizeof(float) * static_cast<std::size_t>(points_.floats.stride), width,
            static_cast<std::size_t>(size(slab)));
  else
    copy_on(call_.copies(), place.memory, width, points_.data.data() + first(slab) * points_.dims() * points_.bytes,
            width, width, static_cast<std::size_t>(size(slab)));
  record(place.copied.get(), call_.copies());
}

void Slabs::split(Index slab, const std::uint8_t* from) {
  const Index d = points_.dims();
  if (points_.bytes == 1)
    split_with(call_, TableReader{from, points_.table.data(), points_.centre.data(), d}, size(slab), d, chunks_, unit_);
  else if (points_.bytes == 2)
    split_with(call_, ShortReader{reinterpret_cast<const std::uint16_t*>(from), points_.centre.data(), d}, size(slab),
               d, chunks_, unit_);
  else
    split_with(call_, FloatReader{reinterpret_cast<const float*>(from), d}, size(slab), d, chunks_, unit_);
}

bool Slabs::next() {
  if (++at_ >= count_) return false;
  if (points_.is_here()) {
    split(at_, points_.data.data() + first(at_) * points_.dims() * points_.bytes);
  } else {
    if (at_ + 1 < count_) copy(at_ + 1);
    const Place& place = places_[at_ % 2];
    wait(call_.stream(), place.copied.get());
    split(at_, place.memory);
    record(place.read.get(), call_.stream());
  }
  slab_ = all_;
  const Index tiles = first(at_) / chunk_points, end = first(at_) + size(at_);
  const Chunk* const chunks = shifted(chunks_, -tiles * slab_.chunks);
  const float* const unit = shifted(unit_, -first(at_));
  if (slab_.streams_rows) {
    slab_.rows = end, slab_.first_block = tiles;
    slab_.x_chunks = chunks, slab_.x_unit = unit;
  } else {
    slab_.cols = end, slab_.first_tile = tiles;
    slab_.y_chunks = chunks, slab_.y_unit = unit;
  }
  return true;
}

}  // namespace monge::ot::cuda
