#include <png.h>

#include "monge/apps/common/image.h"
#include "monge/data/atomic_file.h"
#include "monge/ot/core/error.h"

namespace monge::apps {

std::string encode_png(const Image& image) {
  require(image.height > 0 && image.width > 0 && (image.channels == 1 || image.channels == 3),
          "encode_png: ", image.height, " x ", image.width, " x ", image.channels, " pixels make no image");
  png_image png = {};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = image.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  const auto encode = [&](void* memory) {
    return png_image_write_to_memory(&png, memory, &size, 0, image.pixels.data(), 0, nullptr) != 0;
  };
  std::string bytes;
  if (encode(nullptr)) {
    bytes.resize(size);
    if (encode(bytes.data())) return bytes;
  }
  throw Error(Errc::invalid_argument, concat("encode_png: ", png.message));
}

void write_png(const std::filesystem::path& path, const Image& image) {
  data::write_text("write_png", path, encode_png(image));
}

}  // namespace monge::apps
