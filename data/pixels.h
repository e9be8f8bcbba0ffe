#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "monge/data/dataset.h"

namespace monge::data {

// A data set of bytes, a quarter of what Dataset takes.
struct PixelSplit {
  Matrix<std::uint8_t> x;            // N x d, a row per image, channels last
  std::vector<std::int32_t> labels;  // N, or empty

  Index rows() const { return x.rows(); }
};

struct PixelDataset {
  PixelSplit train;
  PixelSplit test;  // same columns; no rows: none
  double low = -1;  // what byte 0 stands for
  double high = 1;  // what byte 255 stands for
  ImageShape image;
  std::string source;
};

// Reads a u8 data set as it is stored. Errors: as load_dataset; Error(bad_file) for one of floats.
PixelDataset load_pixels(const std::filesystem::path& path, const ReadLimits& limits = {});
bool holds_pixels(const std::filesystem::path& path);  // whether a data set is stored as u8

// The same file, and the same identity, as those of the Dataset that it stands for. Errors: as save_dataset.
void save_dataset(const PixelDataset& dataset, const std::filesystem::path& path);
std::string content_digest(const PixelDataset& dataset);

// An image of planes (all of channel 0, then all of channel 1, ...) as Dataset keeps it, channels last.
void interleave_planes(const std::uint8_t* planes, const ImageShape& image, std::uint8_t* out);

// Appends the mirror image (left and right exchanged) of every training row as row N + i, with its label: twice the
// atoms, so that couplings and semidiscrete potentials know of them. Throws Error(invalid_argument) unless rows are
// images.
void add_flips(PixelDataset& dataset);
void add_flips(Dataset& dataset);

}  // namespace monge::data
