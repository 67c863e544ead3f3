#pragma once
// Collects the findings of one document.
#include <string>
#include <string_view>
#include <vector>

#include "agent/objects/finding.h"
#include "agent/objects/node.h"

namespace weft::objects {

// Owner: decode(), for the time of one document. A broken document could yield as many findings as it has
// lines; the first hundred are enough for anyone.
class Report {
 public:
  explicit Report(std::string file) : file_(std::move(file)) {}

  // From now on findings name this object.
  void set_object(ObjectKey key) { object_ = std::move(key); }
  [[nodiscard]] const std::optional<ObjectKey>& object() const { return object_; }

  void error(std::string_view code, const std::string& path, Mark mark, std::string message) {
    add(Severity::kError, code, path, mark, std::move(message));
  }
  void warn(std::string_view code, const std::string& path, Mark mark, std::string message) {
    add(Severity::kWarning, code, path, mark, std::move(message));
  }
  // The two words used most.
  void invalid(const std::string& path, const Node& node, std::string message) {
    error("InvalidValue", path, node.mark(), std::move(message));
  }
  void unsupported_value(const std::string& path, const Node& node, std::string message) {
    warn("UnsupportedValue", path, node.mark(), std::move(message));
  }

  // From now on what is wrong is a warning: an API server let it pass, and the readers leave out what they cannot use.
  void be_tolerant() { tolerant_ = true; }

  // What follows is only counted: no need to word it well.
  [[nodiscard]] bool full() const { return findings_.size() >= kMaxFindings; }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] std::vector<Finding> take();

 private:
  void add(Severity severity, std::string_view code, const std::string& path, Mark mark, std::string message);

  static constexpr size_t kMaxFindings = 100;

  std::string file_;
  std::optional<ObjectKey> object_;
  std::vector<Finding> findings_;
  size_t dropped_ = 0;
  bool failed_ = false, tolerant_ = false;
};

}  // namespace weft::objects
