#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "monge/ot/core/array.h"

namespace monge::data {

// Point clouds from the files people have. `where` names one: "x.npy" (as read_npy), "x.csv", "x.tsv" or "x.txt" (as
// read_csv), or an array in an HDF5 file, "file.h5:/path/to/array" or "file.hdf5:/path/to/array": integers of 1 to 8
// bytes (that a double holds exactly), floats of 2, 4 or 8, or h5py's booleans, of one or two dimensions, through the
// guards of Hdf5Reader, its numbers as they are stored; but bytes in /x and /test/x of a file with the attribute
// `range` are read as load_dataset reads them. `max_bytes`: what the result may take; while HDF5 values of another type
// are converted, they are in memory besides. Errors: Error(invalid_argument) for a name that says nothing of the kind
// of file; else as read_npy and read_csv, with the path of an HDF5 array besides the file.

// One point per row, T float or double; n numbers in one dimension are n x 1.
template <class T>
Matrix<T> read_cloud(const std::string& where, double max_bytes);

// Where the file of a cloud holds row and column (from 0) of it, in the words of its reader: "line 4, column 2" (from
// 1) of text, which is read once more; else "row 2, column 1".
std::string place_in_cloud(const std::string& where, Index row, Index col);

// Whether all that the type of its file can hold are floats, so that reading as float loses nothing; text says nothing
// of the kind. Errors: as read_cloud, but for names that say nothing, which are false.
bool holds_floats(const std::string& where);

// One number per point: n, n x 1 or 1 x n.
std::vector<double> read_weights(const std::string& where, double max_bytes);

// The same for whole numbers of 32 bits, written as whole numbers or as floats (3 or 3.0); in memory they are doubles
// before, so each counts 8 bytes. Others are refused, with their place (from 0).
std::vector<std::int32_t> read_labels(const std::string& where, double max_bytes);

// Where a data file keeps the labels of its points `where`: FILE.h5:/labels of FILE.h5:/x, FILE.h5:/test/labels of
// FILE.h5:/test/x. Empty for other arrays and where there are none. Errors: as read_cloud.
std::string labels_beside(const std::string& where);

}  // namespace monge::data
