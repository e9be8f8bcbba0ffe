#pragma once  // private: never installed
#include <string>
#include <utility>
#include <vector>

#include "monge/data/dataset.h"
#include "monge/data/hdf5_writer.h"

namespace monge::data {

// What all readers of data sets share. Errors: as Hdf5Reader.
void check_dataset_format(const Hdf5Reader& file);
std::vector<std::int32_t> read_dataset_labels(const Hdf5Reader& file, const std::string& name, Index rows);
std::pair<double, double> read_dataset_range(const Hdf5Reader& file);
ImageShape read_dataset_image(const Hdf5Reader& file, Index dims);

// What all writers share.
void write_dataset_attributes(Hdf5Writer& file, double low, double high, const ImageShape& image,
                              const std::string& source);
void write_dataset_labels(Hdf5Writer& file, const std::string& name, const std::vector<std::int32_t>& labels);

}  // namespace monge::data
