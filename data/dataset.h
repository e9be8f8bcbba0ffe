#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "monge/data/hdf5_reader.h"
#include "monge/ot/core/array.h"

namespace monge::data {

// One point per row.
struct Split {
  Matrix<float> x;                   // N x d
  std::vector<std::int32_t> labels;  // N, or empty

  Index rows() const { return x.rows(); }
  bool labelled() const { return !labels.empty(); }
};

// Rows are images, stored row by row, channels last. All zero: rows are plain points.
struct ImageShape {
  Index height = 0;
  Index width = 0;
  Index channels = 0;
  Index size() const { return height * width * channels; }
};

// How the file keeps x. As u8, a byte p stands for low + (high - low) p / 255; in memory x is always float.
enum class Storage { f32, u8 };

struct Dataset {
  Split train;
  Split test;  // same columns; no rows: none
  Storage storage = Storage::f32;
  double low = 0;   // u8: what byte 0 stands for; f32: the smallest value of train.x, set when loaded
  double high = 0;  // u8: what byte 255 stands for; f32: the largest
  ImageShape image;
  std::string source;  // where the data came from, for people
  std::string digest;  // content_digest; filled by whoever reads or imports

  Index dims() const { return train.x.cols(); }
};

// The float that byte p of a u8 data set stands for: low + (high - low) p / 255, rounded once.
float pixel_value(double low, double high, int p);

// Converts N x d bytes to floats.
Matrix<float> pixels_to_float(MatrixView<const std::uint8_t> pixels, double low, double high);

// Reads and checks a data set: rank 2, not empty, values finite, labels and the test split fitting.
// Errors: as Hdf5Reader; Error(not_finite) names row and column.
Dataset load_dataset(const std::filesystem::path& path, const ReadLimits& limits = {});

// Writes it whole or not at all.
// Errors: Error(invalid_argument) for shapes that do not fit and for values a u8 file cannot hold exactly,
// Error(not_finite) naming row and column, Error(io).
void save_dataset(const Dataset& dataset, const std::filesystem::path& path);

// The identity of a data set: XXH64 of the points it stands for, train.x as floats in memory. The same bytes on another
// range are other points.
std::string content_digest(const Dataset& dataset);

}  // namespace monge::data
