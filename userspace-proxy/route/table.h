#pragma once
// One compiled RouteTable: hosts by exact name, longest wildcard suffix, then "*".
#include <string>
#include <unordered_map>
#include <vector>

#include "userspace-proxy/route/match.h"

namespace weft::route {

struct CompiledRoute {
  const model::Route* source = nullptr;
  std::vector<Match> matches;  // OR; none means everything
  std::vector<std::string>
      names;  // log name per match: "route" or "route.match"; names[0] when there is no match
  uint64_t total_weight = 0;
};

struct CompiledHost {
  std::vector<CompiledRoute> routes;
};

class Table {
 public:
  // `table` is part of a Snapshot that the owner pins.
  Table(const model::RouteTable& table, const model::Snapshot& snapshot, std::vector<std::string>& problems);

  // Null when no virtual host takes this name.
  [[nodiscard]] const CompiledHost* find(std::string_view authority) const;
  [[nodiscard]] uint32_t fallback() const { return fallback_; }
  [[nodiscard]] std::string_view fallback_name() const { return fallback_name_; }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  struct Suffix {
    std::string text;  // ".example.com"
    size_t host;
  };
  void add_domain(const std::string& domain, size_t host);

  std::vector<CompiledHost> hosts_;
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> exact_;
  std::vector<Suffix> suffixes_;  // longest first
  size_t any_ = SIZE_MAX;
  uint32_t fallback_ = model::kNone;
  std::string_view fallback_name_;
};

}  // namespace weft::route
