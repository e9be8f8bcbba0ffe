#include "monge/ot/cuda/normal.h"
#include "monge/ot/cuda/passes.h"
#include "monge/ot/cuda/prepare.h"

namespace monge::ot::cuda {
namespace {

// The elements of one block of the stream that fall into `out`, whose rows follow each other in the stream.
struct WriteNormals {
  Rng rng;
  std::uint64_t first_block;
  Index skip;  // elements of the first block before the first row
  MatrixView<float> out;

  MONGE_HOST_DEVICE void operator()(Index item) const {
    float normals[4];
    normals_of(rng, first_block + static_cast<std::uint64_t>(item), normals);
    for (int e = 0; e < 4; ++e) {
      const Index element = 4 * item + e - skip;
      if (element < 0 || element >= out.rows * out.cols) continue;
      out.data[element / out.cols * out.stride + element % out.cols] = normals[e];
    }
  }
};

}  // namespace

void normals(const Room& room, const Rng& rng, std::uint64_t first, MatrixView<float> out, const Context& context) {
  if (out.empty()) return;
  Call call("normals", room, context);
  const MatrixView<float> to = call.out(out);
  const std::uint64_t element = first * static_cast<std::uint64_t>(out.cols);
  const Index skip = static_cast<Index>(element % 4);
  for_each(call, (skip + out.rows * out.cols + 3) / 4, WriteNormals{rng, element / 4, skip, to});
  call.finish();
}

}  // namespace monge::ot::cuda
