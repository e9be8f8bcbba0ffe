#pragma once  // private: never installed
// Private to the writer.
#include "monge/data/hdf5_handle.h"

namespace monge::data {

// Where HDF5's bytes go. The library leaves its own state broken when a write fails while it closes a file (a full
// disk then crashes the next file), so it is never told: the first error is kept here, later bytes are dropped, and
// whoever owns the sink asks for `error` after each call.
struct Hdf5Sink {
  int descriptor = -1;  // open for reading and writing, belongs to the caller
  int error = 0;        // errno of the first write that failed
};

// Access properties with which H5Fcreate writes into `sink`, which must outlive the file. No locks are taken.
Handle sink_properties(Hdf5Sink& sink);

}  // namespace monge::data
