#pragma once
#include <filesystem>
#include <string>

#include "monge/ot/core/array.h"

namespace monge::data {

// Reads a table of numbers from text, a line per row, T float or double. Columns are separated by semicolons, commas,
// tabs or blanks, whichever (in this order) the first line of numbers has. Blank lines, and `#` with the rest of its
// line, are skipped; so is the first line left when none of its fields is a number: a header. Lines end with LF or
// CRLF. Numbers are decimal, with a point whatever the locale, and rounded to T once; nan and inf are read as such.
// Errors: Error(io) when it cannot be read; Error(out_of_memory), saying how much is needed before it is taken, when
// the result takes more than `max_bytes`; else Error(bad_file), naming line and column (from 1): no line of numbers, a
// line of more or fewer columns, an empty field, something that is no number or too large for T.
template <class T>
Matrix<T> read_csv(const std::filesystem::path& path, double max_bytes);

// "line 4, column 2" (from 1), where a file that read_csv has read holds row and column (from 0) of its result.
std::string place_in_csv(const std::filesystem::path& path, Index row, Index col);

}  // namespace monge::data
