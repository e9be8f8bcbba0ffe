#pragma once
#include <filesystem>

#include "monge/data/hdf5_reader.h"
#include "monge/data/pixels.h"

namespace monge::data {

// Reads down-sampled ImageNet (Chrabaszcz, Loshchilov and Hutter 2017) of 32 x 32 pixels from its .npz files,
// train_data_batch_1.npz to train_data_batch_10.npz and val_data.npz in `folder`: arrays `data` (N x 3072 bytes, the
// red, the green and the blue plane of each image) and `labels` (N whole numbers, 1 to 1000, kept here as 0 to 999),
// stored or compressed. Bytes stand for values in [-1, 1]. Never holds more than the images, as bytes.
// Errors: Error(io) for a missing file, naming it; Error(out_of_memory) when all images together take more bytes than
// limits.memory; else Error(bad_file), which says what is wrong with which member of which file.
PixelDataset import_imagenet32(const std::filesystem::path& folder, const ReadLimits& limits = {});

}  // namespace monge::data
