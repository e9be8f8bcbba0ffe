#pragma once
#include <filesystem>

#include "monge/data/pixels.h"

namespace monge::data {

// Reads CIFAR-10 (Krizhevsky 2009) in its binary version, data_batch_1.bin to data_batch_5.bin and test_batch.bin of
// `folder`, or of its folder cifar-10-batches-bin: records of one label byte, 0 to 9, and 3 x 1024 bytes, the red, the
// green and the blue plane of 32 x 32 pixels. Bytes stand for values in [-1, 1].
// Errors: Error(io) for a missing file, naming it; Error(bad_file): not a whole number of records, none, more than
// 10,000, or a label over 9 (with its record). All but the last before memory is taken.
PixelDataset import_cifar10(const std::filesystem::path& folder);

}  // namespace monge::data
