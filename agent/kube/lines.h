#pragma once
// A stream of bytes cut into lines, however it arrives.
#include <string>
#include <string_view>

namespace weft::kube {

// Thread: any one at a time. A line without its end is kept until the rest comes.
class Lines {
 public:
  explicit Lines(size_t most) : most_(most) {}

  // Calls `line(std::string_view)` for each whole line, without "\n" and "\r\n"; empty ones are left out.
  // `line` returns false to end. False: a line is longer than `most`, or `line` said so; nothing more is to
  // be fed then.
  template <typename OnLine>
  [[nodiscard]] bool feed(std::string_view bytes, OnLine&& line) {
    while (!bytes.empty()) {
      const size_t end = bytes.find('\n');
      const std::string_view part = bytes.substr(0, end);
      if (kept_.size() + part.size() > most_) return false;
      if (end == std::string_view::npos) {
        kept_.append(part);
        return true;
      }
      bytes.remove_prefix(end + 1);
      if (!one(part, line)) return false;
    }
    return true;
  }
  [[nodiscard]] size_t kept() const { return kept_.size(); }
  void clear() { kept_ = {}; }

 private:
  template <typename OnLine>
  bool one(std::string_view part, OnLine&& line) {
    std::string whole;
    if (!kept_.empty()) {
      whole = std::move(kept_);
      kept_ = {};
      whole.append(part);
      part = whole;
    }
    if (part.ends_with('\r')) part.remove_suffix(1);
    return part.empty() || line(part);
  }

  size_t most_;
  std::string kept_;
};

}  // namespace weft::kube
