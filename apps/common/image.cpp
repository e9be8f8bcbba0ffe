#include "monge/apps/common/image.h"

#include <algorithm>
#include <cmath>

#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

// Five columns for each glyph, lowest bit at the top.
struct Glyph {
  char letter;
  std::uint8_t columns[5];
};

constexpr Glyph glyphs[] = {
    {'0', {0x3E, 0x51, 0x49, 0x45, 0x3E}}, {'1', {0x00, 0x42, 0x7F, 0x40, 0x00}}, {'2', {0x42, 0x61, 0x51, 0x49, 0x46}},
    {'3', {0x21, 0x41, 0x45, 0x4B, 0x31}}, {'4', {0x18, 0x14, 0x12, 0x7F, 0x10}}, {'5', {0x27, 0x45, 0x45, 0x45, 0x39}},
    {'6', {0x3C, 0x4A, 0x49, 0x49, 0x30}}, {'7', {0x01, 0x71, 0x09, 0x05, 0x03}}, {'8', {0x36, 0x49, 0x49, 0x49, 0x36}},
    {'9', {0x06, 0x49, 0x49, 0x29, 0x1E}}, {'a', {0x20, 0x54, 0x54, 0x54, 0x78}}, {'b', {0x7F, 0x48, 0x44, 0x44, 0x38}},
    {'c', {0x38, 0x44, 0x44, 0x44, 0x20}}, {'d', {0x38, 0x44, 0x44, 0x48, 0x7F}}, {'e', {0x38, 0x54, 0x54, 0x54, 0x18}},
    {'f', {0x08, 0x7E, 0x09, 0x01, 0x02}}, {'g', {0x0C, 0x52, 0x52, 0x52, 0x3E}}, {'h', {0x7F, 0x08, 0x04, 0x04, 0x78}},
    {'i', {0x00, 0x44, 0x7D, 0x40, 0x00}}, {'j', {0x20, 0x40, 0x44, 0x3D, 0x00}}, {'k', {0x7F, 0x10, 0x28, 0x44, 0x00}},
    {'l', {0x00, 0x41, 0x7F, 0x40, 0x00}}, {'m', {0x7C, 0x04, 0x18, 0x04, 0x78}}, {'n', {0x7C, 0x08, 0x04, 0x04, 0x78}},
    {'o', {0x38, 0x44, 0x44, 0x44, 0x38}}, {'p', {0x7C, 0x14, 0x14, 0x14, 0x08}}, {'q', {0x08, 0x14, 0x14, 0x18, 0x7C}},
    {'r', {0x7C, 0x08, 0x04, 0x04, 0x08}}, {'s', {0x48, 0x54, 0x54, 0x54, 0x20}}, {'t', {0x04, 0x3F, 0x44, 0x40, 0x20}},
    {'u', {0x3C, 0x40, 0x40, 0x20, 0x7C}}, {'v', {0x1C, 0x20, 0x40, 0x20, 0x1C}}, {'w', {0x3C, 0x40, 0x30, 0x40, 0x3C}},
    {'x', {0x44, 0x28, 0x10, 0x28, 0x44}}, {'y', {0x0C, 0x50, 0x50, 0x50, 0x3C}}, {'z', {0x44, 0x64, 0x54, 0x4C, 0x44}},
    {'-', {0x08, 0x08, 0x08, 0x08, 0x08}}, {'.', {0x00, 0x60, 0x60, 0x00, 0x00}}, {',', {0x00, 0x50, 0x30, 0x00, 0x00}},
    {':', {0x00, 0x36, 0x36, 0x00, 0x00}}, {'(', {0x00, 0x1C, 0x22, 0x41, 0x00}}, {')', {0x00, 0x41, 0x22, 0x1C, 0x00}},
    {'/', {0x20, 0x10, 0x08, 0x04, 0x02}}, {'%', {0x23, 0x13, 0x08, 0x64, 0x62}}, {'+', {0x08, 0x08, 0x3E, 0x08, 0x08}},
    {'=', {0x14, 0x14, 0x14, 0x14, 0x14}}};

constexpr Index advance = 6;  // columns from one letter to the next

}  // namespace

Image::Image(Index height_, Index width_, Index channels_, std::uint8_t fill)
    : height(height_), width(width_), channels(channels_) {
  require(height > 0 && width > 0 && (channels == 1 || channels == 3), "Image: ", height, " x ", width, " x ", channels,
          " pixels make no image");
  pixels.assign(static_cast<std::size_t>(height * width * channels), fill);
}

void paste(Image& image, const Image& part, Index y, Index x) {
  require(part.channels == image.channels && y >= 0 && x >= 0 && y + part.height <= image.height &&
              x + part.width <= image.width,
          "paste: ", part.height, " x ", part.width, " pixels at (", y, ", ", x, ") do not fit into ", image.height,
          " x ", image.width);
  for (Index row = 0; row < part.height; ++row) {
    std::copy_n(part.at(row, 0), part.width * part.channels, image.at(y + row, x));
  }
}

void draw_text(Image& image, const std::string& text, Index y, Index x, Index scale) {
  for (const char letter : text) {
    const auto* glyph =
        std::find_if(std::begin(glyphs), std::end(glyphs), [&](const Glyph& g) { return g.letter == letter; });
    for (Index column = 0; glyph != std::end(glyphs) && column < 5 * scale; ++column) {
      for (Index row = 0; row < 7 * scale; ++row) {
        const bool inside = y + row >= 0 && y + row < image.height && x + column >= 0 && x + column < image.width;
        if (inside && (glyph->columns[column / scale] >> (row / scale) & 1)) {
          std::fill_n(image.at(y + row, x + column), image.channels, std::uint8_t{0});
        }
      }
    }
    x += advance * scale;
  }
}

Index text_width(const std::string& text, Index scale) {
  return text.empty() ? 0 : (static_cast<Index>(text.size()) * advance - 1) * scale;
}

Image image_grid(MatrixView<const float> x, const data::ImageShape& shape, double low, double high, Index columns,
                 Index scale, Index margin) {
  require(x.rows > 0 && x.cols == shape.size(), "image_grid: ", x.rows, " rows of ", x.cols,
          " values are no images of ", shape.height, " x ", shape.width, " x ", shape.channels);
  require(high > low && columns > 0 && scale > 0 && margin >= 0, "image_grid: the options make no sense");
  const Index rows = (x.rows + columns - 1) / columns;
  const Index tile_height = shape.height * scale + margin, tile_width = shape.width * scale + margin;
  Image image(rows * tile_height - margin, columns * tile_width - margin, shape.channels);
  for (Index i = 0; i < x.rows; ++i) {
    for (Index h = 0; h < shape.height * scale; ++h) {
      std::uint8_t* out = image.at(i / columns * tile_height + h, i % columns * tile_width);
      for (Index w = 0; w < shape.width * scale; ++w) {
        for (Index c = 0; c < shape.channels; ++c) {
          const double value = x(i, (h / scale * shape.width + w / scale) * shape.channels + c);
          *out++ = static_cast<std::uint8_t>(std::lround(255 * std::clamp((value - low) / (high - low), 0.0, 1.0)));
        }
      }
    }
  }
  return image;
}

std::string why_no_picture(const data::ImageShape& shape, double low, double high, Index count, Index columns) {
  if (shape.size() == 0) return "the data are not images";
  if (shape.channels != 1 && shape.channels != 3) return concat("images of ", shape.channels, " channels, not 1 or 3");
  if (!(high > low)) return concat("all values of the data are ", low);
  constexpr double margin = 2, largest = 1u << 30;  // bytes; what libpng takes at once ends a little further
  const double rows = std::ceil(static_cast<double>(count) / static_cast<double>(columns));
  const double height = rows * (static_cast<double>(shape.height) + margin);
  const double width = static_cast<double>(columns) * (static_cast<double>(shape.width) + margin);
  if (height * width * static_cast<double>(shape.channels) > largest) {
    return concat(count, " images of ", shape.height, " x ", shape.width, " are too many pixels for one picture");
  }
  return "";
}

}  // namespace monge::apps
