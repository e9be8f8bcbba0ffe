#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "monge/data/dataset.h"
#include "monge/ot/core/array.h"

namespace monge::apps {

// 8-bit pixels, row by row, channels last: 1 (grey) or 3 (red, green, blue).
struct Image {
  Image() = default;
  Image(Index height, Index width, Index channels, std::uint8_t fill = 255);
  std::uint8_t* at(Index y, Index x) { return &pixels[static_cast<std::size_t>((y * width + x) * channels)]; }
  const std::uint8_t* at(Index y, Index x) const {
    return &pixels[static_cast<std::size_t>((y * width + x) * channels)];
  }

  Index height = 0, width = 0, channels = 1;
  std::vector<std::uint8_t> pixels;
};

// Copies `part` into `image` with its upper left corner at (y, x); it must fit, and have as many channels.
void paste(Image& image, const Image& part, Index y, Index x);

// Writes one line of letters, digits and -.,:()/%+= in black, 5 x 7 pixels each, `scale` times as large. What falls
// outside is cut off. text_width: what it takes.
void draw_text(Image& image, const std::string& text, Index y, Index x, Index scale = 1);
Index text_width(const std::string& text, Index scale = 1);

// Rows of x, each an image of `shape` with values from `low` (black) to `high` (white), clamped, as a grid with
// `columns` columns and a margin of `margin` white pixels between them; every pixel `scale` pixels wide.
Image image_grid(MatrixView<const float> x, const data::ImageShape& shape, double low, double high, Index columns,
                 Index scale = 1, Index margin = 2);

// Why image_grid and write_png could not show `count` such images, in a few words; empty if they can. To be asked
// before the images are made.
std::string why_no_picture(const data::ImageShape& shape, double low, double high, Index count, Index columns);

// PNG bytes, and a PNG file written whole or not at all. Throws Error: invalid_argument, io.
std::string encode_png(const Image& image);
void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace monge::apps
