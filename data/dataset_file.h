#pragma once  // private: never installed
#include <string>
#include <vector>

#include "monge/data/dataset.h"
#include "monge/data/hdf5_writer.h"

namespace monge::data {

// What all writers of data sets share.
void write_dataset_attributes(Hdf5Writer& file, double low, double high, const ImageShape& image,
                              const std::string& source);
void write_dataset_labels(Hdf5Writer& file, const std::string& name, const std::vector<std::int32_t>& labels);

}  // namespace monge::data
