#include "monge/apps/common/teacher.h"

#include <string>
#include <utility>

#include "monge/apps/common/generate_map.h"
#include "monge/apps/common/unused_keys.h"
#include "monge/data/digest.h"
#include "monge/ot/core/error.h"

namespace monge::apps {
namespace {

std::string from(const PairingConfig& pairing) {
  return pairing.source_file.empty() ? "noise" : pairing.source_file + " (" + pairing.source_digest + ")";
}

void require_same_law(TrainConfig& student, TrainConfig& teacher) {
  std::string found;
  for (const Config::Difference& difference : bind(student).differences(bind(teacher))) {
    if (!difference.key.starts_with("path.") || !why_unused(student, difference.key).empty()) continue;
    found += (found.empty() ? "" : ", ") + difference.text;
  }
  require(found.empty(), student.teacher_file, ": the teacher learnt another path: ", found);
  require(student.pairing.source_digest == teacher.pairing.source_digest, student.teacher_file,
          ": the teacher learnt from another source: coupling.source is ", from(student.pairing), ", was ",
          from(teacher.pairing));
}

}  // namespace

std::shared_ptr<const flow::Teacher> load_teacher(TrainConfig& student) {
  const std::string& file = student.teacher_file;
  require(!file.empty(), "objective.kind = ", student.objective,
          " needs a teacher: name a checkpoint with objective.teacher or --set objective.teacher=FILE");
  TrainedModel model = load_model(file);
  const std::string found = data::digest(model.weights.data(), model.weights.size() * sizeof(float));
  if (student.teacher_digest.empty()) student.teacher_digest = found;
  require(student.teacher_digest == found, file, ": this is not the teacher of the run: digest ", found,
          ", objective.teacher_digest is ", student.teacher_digest);
  require_same_law(student, model.config);
  if (student.train.model.classes > 0 && student.train.objective.label_drop > 0)
    check_without_class(concat("objective.label_drop ", student.train.objective.label_drop, " with the teacher ", file),
                        model.config);
  return std::make_shared<const flow::Teacher>(flow::Teacher{.model = model.options,
                                                             .weights = std::move(model.weights),
                                                             .strip = longest_jump(model.config),
                                                             .to_data_only = model.config.objective == "consistency"});
}

}  // namespace monge::apps
