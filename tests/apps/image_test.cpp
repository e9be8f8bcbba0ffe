#include "monge/apps/common/image.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "monge/tests/data/support.h"

namespace monge::apps {
namespace {

using test::expect_error;

std::uint32_t big_endian(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes.at(at + i));
  return value;
}

// A naive PNG decoder (ISO/IEC 15948), apart from libpng: 8 bits, grey or RGB, not interlaced; every checksum checked.
Image decode(const std::string& bytes) {
  EXPECT_EQ(bytes.substr(0, 8), "\x89PNG\r\n\x1a\n");
  Image image;
  std::string packed;
  for (std::size_t at = 8; at < bytes.size();) {
    const std::size_t length = big_endian(bytes, at);
    const std::string type = bytes.substr(at + 4, 4);
    const auto* body = reinterpret_cast<const Bytef*>(bytes.data() + at + 4);
    EXPECT_EQ(crc32(0, body, static_cast<uInt>(length + 4)), big_endian(bytes, at + 8 + length)) << type;
    if (type == "IHDR") {
      const char color = bytes[at + 17];
      EXPECT_EQ(bytes[at + 16], 8);
      EXPECT_TRUE(color == 0 || color == 2);
      EXPECT_EQ(bytes[at + 20], 0);
      image = Image(big_endian(bytes, at + 12), big_endian(bytes, at + 8), color == 0 ? 1 : 3);
    }
    if (type == "IDAT") packed += bytes.substr(at + 8, length);
    at += length + 12;
  }
  const Index row = image.width * image.channels;
  std::vector<std::uint8_t> raw(static_cast<std::size_t>(image.height * (row + 1)));
  uLongf size = raw.size();
  EXPECT_EQ(uncompress(raw.data(), &size, reinterpret_cast<const Bytef*>(packed.data()), packed.size()), Z_OK);
  EXPECT_EQ(size, raw.size());

  for (Index y = 0; y < image.height; ++y) {
    const int filter = raw[static_cast<std::size_t>(y * (row + 1))];
    for (Index i = 0; i < row; ++i) {
      const auto pixel = [&](Index yy, Index ii) {
        return yy < 0 || ii < 0 ? 0 : int{image.pixels[static_cast<std::size_t>(yy * row + ii)]};
      };
      const int left = pixel(y, i - image.channels), up = pixel(y - 1, i);
      const int corner = i < image.channels ? 0 : pixel(y - 1, i - image.channels), guess = left + up - corner;
      const int a = std::abs(guess - left), b = std::abs(guess - up), c = std::abs(guess - corner);
      const int paeth = a <= b && a <= c ? left : b <= c ? up : corner;
      const int predicted[] = {0, left, up, (left + up) / 2, paeth};
      image.pixels[static_cast<std::size_t>(y * row + i)] =
          static_cast<std::uint8_t>(raw[static_cast<std::size_t>(y * (row + 1) + 1 + i)] + predicted[filter]);
    }
  }
  return image;
}

Image noise(Index height, Index width, Index channels) {
  Image image(height, width, channels);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] = static_cast<std::uint8_t>(i * i * 31 + i / 7 + (i % 97 < 40 ? 0 : 3 * i));
  }
  return image;
}

TEST(Png, DecodesToTheSamePixels) {
  for (const auto& image : {noise(1, 1, 1), noise(37, 53, 1), noise(64, 300, 3), Image(20, 30, 3, 7)}) {
    const Image back = decode(encode_png(image));
    EXPECT_EQ(back.height, image.height);
    EXPECT_EQ(back.width, image.width);
    EXPECT_EQ(back.channels, image.channels);
    EXPECT_EQ(back.pixels, image.pixels);
  }
  expect_error(Errc::invalid_argument, {"encode_png"}, [] { encode_png(Image{}); });
}

TEST(Png, IsWrittenWholeOrNotAtAll) {
  const test::TemporaryFolder folder;
  write_png(folder / "a.png", noise(5, 6, 1));
  EXPECT_EQ(decode(test::read_bytes(folder / "a.png")).pixels, noise(5, 6, 1).pixels);
  expect_error(Errc::io, {"nowhere"}, [&] { write_png(folder / "nowhere/a.png", noise(5, 6, 1)); });
  EXPECT_EQ(folder.files(), std::vector<std::string>{"a.png"});
}

TEST(ImageGrid, PlacesScalesAndClamps) {
  // Three images of 2 x 2 pixels in two columns, each pixel twice as wide, one white pixel between them.
  std::vector<float> x = {-1, 1, 0, -3, 1, 1, 1, 9, -1, -1, -1, -1};
  const Image image = image_grid(MatrixView<const float>(x.data(), 3, 4), {2, 2, 1}, -1, 1, 2, 2, 1);
  ASSERT_EQ(image.height, 9);
  ASSERT_EQ(image.width, 9);
  const auto at = [&](Index y, Index xx) { return int{*image.at(y, xx)}; };
  EXPECT_EQ(at(0, 0), 0);
  EXPECT_EQ(at(1, 1), 0);
  EXPECT_EQ(at(0, 2), 255);
  EXPECT_EQ(at(2, 0), 128);
  EXPECT_EQ(at(3, 3), 0);    // clamped
  EXPECT_EQ(at(0, 4), 255);  // margin
  EXPECT_EQ(at(4, 0), 255);
  EXPECT_EQ(at(8, 0), 0);    // the third image
  EXPECT_EQ(at(8, 8), 255);  // no fourth
  expect_error(Errc::invalid_argument, {"image_grid"}, [&] {
    image_grid(MatrixView<const float>(x.data(), 3, 4), {2, 3, 1}, -1, 1, 2);
  });
}

TEST(ImageGrid, KeepsColorsTogether) {
  std::vector<float> x = {0, 0.5, 1, 1, 0, 0};  // one image, 1 x 2, RGB
  const Image image = image_grid(MatrixView<const float>(x.data(), 1, 6), {1, 2, 3}, 0, 1, 1);
  EXPECT_EQ(image.pixels, (std::vector<std::uint8_t>{0, 128, 255, 255, 0, 0}));
}

TEST(ImageGrid, ObstaclesAreKnownBeforeTheWork) {
  EXPECT_EQ(why_no_picture({28, 28, 1}, -1, 1, 64, 8), "");
  EXPECT_EQ(why_no_picture({28, 28, 3}, 0, 1, 7, 3), "");
  EXPECT_EQ(why_no_picture({}, -1, 1, 4, 2), "the data are not images");
  EXPECT_EQ(why_no_picture({4, 4, 2}, -1, 1, 4, 2), "images of 2 channels, not 1 or 3");
  EXPECT_EQ(why_no_picture({4, 4, 4}, -1, 1, 4, 2), "images of 4 channels, not 1 or 3");
  EXPECT_EQ(why_no_picture({4, 4, 1}, 0.5, 0.5, 4, 2), "all values of the data are 0.5");
  EXPECT_NE(why_no_picture({28, 28, 1}, -1, 1, 2'000'000, 1000).find("too many pixels"), std::string::npos);
  EXPECT_NE(why_no_picture({28, 28, 1}, -1, 1, 1, 1'000'000'000).find("too many pixels"), std::string::npos);
}

TEST(Image, PastesWhereItIsTold) {
  Image image(4, 5, 1, 9);
  paste(image, Image(2, 2, 1, 1), 2, 3);
  EXPECT_EQ(*image.at(1, 3), 9);
  EXPECT_EQ(*image.at(2, 2), 9);
  EXPECT_EQ(*image.at(2, 3), 1);
  EXPECT_EQ(*image.at(3, 4), 1);
  expect_error(Errc::invalid_argument, {"paste"}, [&] { paste(image, Image(2, 2, 1), 3, 0); });
  expect_error(Errc::invalid_argument, {"paste"}, [&] { paste(image, Image(2, 2, 3), 0, 0); });
  EXPECT_THROW(Image(0, 3, 1), Error);
  EXPECT_THROW(Image(3, 3, 2), Error);
}

TEST(Image, TextIsAsWideAsItSays) {
  EXPECT_EQ(text_width("ab", 2), 22);
  Image image(20, 60, 1);
  draw_text(image, "1 h", 3, 2, 2);
  Index left = 60, right = 0, top = 20, bottom = 0;
  for (Index y = 0; y < 20; ++y) {
    for (Index x = 0; x < 60; ++x) {
      if (*image.at(y, x) != 0) continue;
      left = std::min(left, x), right = std::max(right, x), top = std::min(top, y), bottom = std::max(bottom, y);
    }
  }
  EXPECT_GE(left, 2);
  EXPECT_EQ(right, 2 + text_width("1 h", 2) - 1);
  EXPECT_EQ(top, 3);
  EXPECT_EQ(bottom, 3 + 14 - 1);
  draw_text(image, "cut off", 15, 50, 3);  // no error, no write outside
}

}  // namespace
}  // namespace monge::apps
