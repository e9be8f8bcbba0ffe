#include "monge/ot/equal_points.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <type_traits>

#include "monge/ot/core/parallel.h"

namespace monge::ot::detail {

template <class T>
std::uint64_t point_hash(const LabelledCloud<T>& cloud, Index i) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  std::uint64_t h = 0x9E3779B97F4A7C15ull ^ static_cast<std::uint32_t>(cloud.label(i));
  for (Index k = 0; k < cloud.dims(); ++k) {
    const T value = cloud.at(i, k) == 0 ? T(0) : cloud.at(i, k);  // -0 equals 0
    h = (h ^ std::bit_cast<Bits>(value)) * 0xD6E8FEB86659FD93ull;
    h ^= h >> 32;
  }
  return h;
}

template <class T>
std::vector<Index> representatives(const LabelledCloud<T>& cloud, const std::vector<Index>& among,
                                   const Context& context) {
  std::vector<std::uint64_t> hash(among.size());
  constexpr Index block = 1024;
  const auto n = static_cast<Index>(among.size());
  parallel_for(threads_worth(context.threads, n * cloud.dims()), (n + block - 1) / block, [&](Index task, int) {
    for (Index i = task * block; i < std::min(n, (task + 1) * block); ++i) hash[i] = point_hash(cloud, among[i]);
  });
  std::vector<std::size_t> order(among.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t p, std::size_t q) { return hash[p] != hash[q] ? hash[p] < hash[q] : p < q; });
  std::vector<Index> representative(among);
  for (std::size_t begin = 0, end; begin < order.size(); begin = end) {
    end = begin + 1;
    while (end < order.size() && hash[order[end]] == hash[order[begin]]) ++end;
    for (std::size_t q = begin + 1; q < end; ++q) {
      for (std::size_t p = begin; p < q; ++p) {
        if (representative[order[p]] != among[order[p]]) continue;  // compare with representatives only
        if (!cloud.same(among[order[p]], among[order[q]])) continue;
        representative[order[q]] = among[order[p]];
        break;
      }
    }
  }
  return representative;
}

double EqualPoints::crowding() const {
  std::vector<double> sizes(first.size(), 0.0);
  for (const std::int32_t g : group) ++sizes[g];
  double squares = 0;
  for (const double size : sizes) squares += size * size;
  return squares / static_cast<double>(group.size());
}

namespace {

// Groups by representatives of all points.
EqualPoints grouped(const std::vector<Index>& representative) {
  EqualPoints out;
  for (std::size_t i = 0; i < representative.size(); ++i) {
    const auto first = static_cast<std::size_t>(representative[i]);
    out.group.push_back(first == i ? static_cast<std::int32_t>(out.first.size()) : out.group[first]);
    if (first == i) out.first.push_back(static_cast<std::int32_t>(i));
  }
  return out;
}

}  // namespace

template <class T>
EqualPoints equal_points(const LabelledCloud<T>& cloud, const Context& context) {
  std::vector<Index> all(static_cast<std::size_t>(cloud.size()));
  std::iota(all.begin(), all.end(), Index{0});
  constexpr Index few = 16;
  if (const Index d = cloud.dims(); d > few) {
    Matrix<T> some(cloud.size(), few);
    for (Index i = 0; i < cloud.size(); ++i)
      for (Index k = 0; k < few; ++k) some(i, k) = cloud.at(i, k * d / few);
    EqualPoints out = grouped(representatives<T>({some.view(), cloud.labels}, all, context));
    if (out.all_differ()) return out;
  }
  return grouped(representatives(cloud, all, context));
}

template std::uint64_t point_hash(const LabelledCloud<float>&, Index);
template std::vector<Index> representatives(const LabelledCloud<float>&, const std::vector<Index>&, const Context&);
template EqualPoints equal_points(const LabelledCloud<float>&, const Context&);
template EqualPoints equal_points(const LabelledCloud<double>&, const Context&);

}  // namespace monge::ot::detail
