#pragma once  // private: never installed
#include <memory>
#include <vector>

#include "monge/ot/atoms.h"
#include "monge/ot/faiss_options.h"

namespace monge::ot {

// argmax_j <x, y_j> + v_j by a FAISS index over (y_j, v_j). What it is made of, cells or a graph, is a function of the
// atoms and the options alone: it is laid out for the potentials of independent scores, and v is put in afterwards, as
// often as one likes. So potentials that were fitted through an index are right for any other of the same options.
class FaissSearch {
 public:
  FaissSearch(const char* caller, const AtomSet& atoms, const FaissOptions& options, const Context& context);
  ~FaissSearch();
  FaissSearch(FaissSearch&&) noexcept;

  void set_biases(const std::vector<float>& v);
  // found[i] = distinct atom for row i of x (n x d, in the space of the atoms). Throws infeasible where the index finds
  // none.
  void search(MatrixView<const float> x, VectorView<std::int32_t> found) const;

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace monge::ot
