#include "monge/data/pairs.h"

#include <algorithm>

#include "monge/data/hdf5_writer.h"
#include "monge/ot/core/error.h"
#include "monge/ot/finite.h"

namespace monge::data {
namespace {

constexpr const char* format = "monge-pairs";
constexpr std::uint64_t version = 1;

// Index of the first negative atom, or -1.
Index first_negative(const std::vector<std::int32_t>& atoms) {
  const auto at = std::find_if(atoms.begin(), atoms.end(), [](std::int32_t atom) { return atom < 0; });
  return at == atoms.end() ? -1 : at - atoms.begin();
}

}  // namespace

Pairs load_pairs(const std::filesystem::path& path, const ReadLimits& limits) {
  const Hdf5Reader file("load_pairs", path, limits);
  file.check_format(format, version, true);
  Pairs pairs;
  pairs.x0 = file.read_matrix<float>("x0");
  if (pairs.x0.view().empty()) file.fail("x0", "is empty");
  require_finite(std::as_const(pairs.x0).view(), concat("load_pairs: ", path.string(), ": /x0").c_str());
  pairs.atoms = file.read_vector<std::int32_t>("atoms", pairs.size());
  if (const Index bad = first_negative(pairs.atoms); bad >= 0)
    file.fail("atoms", concat("element ", bad, " is ", pairs.atoms[static_cast<std::size_t>(bad)]));
  if (file.has("labels")) pairs.labels = file.read_vector<std::int32_t>("labels", pairs.size());
  pairs.dataset_digest = file.attribute<std::string>("", "dataset_digest");
  pairs.source_law = file.attribute_or<std::string>("", "source_law", "");
  return pairs;
}

void save_pairs(const Pairs& pairs, const std::filesystem::path& path) {
  require(!pairs.x0.view().empty(), "save_pairs: there are none: ", pairs.x0.rows(), " x ", pairs.x0.cols());
  require(static_cast<Index>(pairs.atoms.size()) == pairs.size(), "save_pairs: ", pairs.atoms.size(), " atoms for ",
          pairs.size(), " source points");
  require(pairs.labels.empty() || static_cast<Index>(pairs.labels.size()) == pairs.size(),
          "save_pairs: ", pairs.labels.size(), " labels for ", pairs.size(), " source points");
  const Index bad = first_negative(pairs.atoms);
  require(bad < 0, "save_pairs: element ", bad, " of atoms is negative");
  require_finite(pairs.x0.view(), "save_pairs: x0");
  Hdf5Writer file("save_pairs", path);
  file.attribute("", "format", format);
  file.attribute("", "version", version);
  file.attribute("", "dataset_digest", pairs.dataset_digest);
  if (!pairs.source_law.empty()) file.attribute("", "source_law", pairs.source_law);
  file.array("x0", {pairs.size(), pairs.x0.cols()}, pairs.x0.data());
  file.array("atoms", {pairs.size()}, pairs.atoms.data());
  if (!pairs.labels.empty()) file.array("labels", {pairs.size()}, pairs.labels.data());
  file.commit();
}

}  // namespace monge::data
