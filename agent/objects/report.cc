#include "agent/objects/report.h"

#include <fmt/format.h>

namespace weft::objects {

void Report::add(Severity severity, std::string_view code, const std::string& path, Mark mark,
                 std::string message) {
  if (tolerant_) severity = Severity::kWarning;
  failed_ |= severity == Severity::kError;
  if (full()) {
    ++dropped_;
    return;
  }
  findings_.push_back({.severity = severity,
                       .code = std::string(code),
                       .file = file_,
                       .line = mark.line,
                       .column = mark.column,
                       .path = clip(path),
                       .message = clip(std::move(message)),
                       .object = object_});
}

std::vector<Finding> Report::take() {
  if (dropped_ > 0) {
    Finding rest = findings_.back();
    rest.severity = failed_ ? Severity::kError : Severity::kWarning;
    rest.code = "MoreFindings";
    rest.path.clear();
    rest.message = fmt::format("{} more findings in this document are not listed", dropped_);
    findings_.push_back(std::move(rest));
  }
  // Findings made before the object's name was known get it now.
  for (Finding& finding : findings_)
    if (!finding.object) finding.object = object_;
  return std::move(findings_);
}

}  // namespace weft::objects
