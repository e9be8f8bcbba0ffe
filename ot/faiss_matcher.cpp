#include <exception>

#include "monge/ot/core/error.h"
#include "monge/ot/faiss_search.h"
#include "monge/ot/fitted_atoms.h"
#include "monge/ot/matcher.h"

namespace monge::ot {
namespace {

class FaissMatcher final : public Matcher {
 public:
  FaissMatcher(FittedAtoms fitted, const FaissOptions& options, const Context& context)
      : fitted_(std::move(fitted)), search_("faiss_matcher", fitted_.atoms, options, context) {
    search_.set_biases(fitted_.biases);
  }

  using Matcher::match;
  void match(MatrixView<const float> noise, VectorView<const std::int32_t> labels, const Rng& rng, std::uint64_t first,
             VectorView<std::int32_t> atoms) const override {
    fitted_.check("match", noise, labels, atoms);
    require(noise.device.type == DeviceType::cpu && atoms.device.type == DeviceType::cpu,
            "match: an index searches in the CPU's memory");
    Matrix<float> projected;
    search_.search(fitted_.in_score_space(noise, projected), atoms);
    fitted_.to_members(rng, first, atoms);
  }

  const LabelLaw& noise_labels() const override { return fitted_.noise_labels; }

 private:
  FittedAtoms fitted_;
  FaissSearch search_;
};

}  // namespace

std::unique_ptr<Matcher> faiss_matcher(MatrixView<const float> y, const SemidiscretePotentials& potentials,
                                       const FaissOptions& options, const Context& context) {
  try {
    FittedAtoms fitted("faiss_matcher", y, potentials, context);
    require(fitted.epsilon == 0,
            "faiss_matcher: an index finds the best atom, it cannot draw one (epsilon = ", potentials.epsilon,
            "): use pass_matcher");
    require(!fitted.is_labelled(), "faiss_matcher: an index knows no labels: use pass_matcher");
    return std::make_unique<FaissMatcher>(std::move(fitted), options, context);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    throw Error(Errc::invalid_argument, concat("faiss_matcher: ", e.what()));
  }
}

}  // namespace monge::ot
