#pragma once
#include <filesystem>

#include "monge/data/dataset.h"

namespace monge::data {

// Where the Debian package dataset-fashion-mnist puts its files.
inline constexpr const char* fashion_mnist_folder = "/usr/share/datasets/fashion-mnist";

// Reads Fashion-MNIST (Xiao, Rasul, Vollgraf 2017) from its four IDX files, gzipped or plain: 60,000 training and
// 10,000 test images of 28 x 28 pixels mapped to [-1, 1], with labels 0 to 9. Any data set in the same four files
// (MNIST, KMNIST) reads as well.
// Errors: Error(io) for a missing file, naming the package that has it; Error(bad_file) as read_idx, or for images and
// labels that do not fit each other.
Dataset import_fashion_mnist(const std::filesystem::path& folder = fashion_mnist_folder);

}  // namespace monge::data
