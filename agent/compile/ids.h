#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "agent/compile/tables.h"
#include "bpf/abi/weft_abi.h"

namespace weft::compile {

struct PodId {
  uint32_t id = 0;  // 1..WEFT_MAX_LOCAL_PODS; 0: no room
  uint32_t generation = 0;
};

// Gives the small numbers that stand for names in the kernel tables. A number is stable while anything uses
// its name, also over a restart of the agent: recover() reads them from the pinned maps `names` and
// `services`, which live exactly as long as the tables that use them (a file beside them could outlive or
// miss them). Numbers of identities, namespaces and services are never given twice; pod ids are, with another
// generation. Owner: the agent's kernel thread.
class Ids {
 public:
  Ids() = default;
  static Ids recover(const Tables& pinned);

  // A compile run: what is not asked for between begin() and finish() is forgotten by finish().
  void begin();
  void finish();

  [[nodiscard]] uint32_t identity(std::string_view service_account_key);  // "ns/sa"
  [[nodiscard]] uint32_t name_space(std::string_view name);
  [[nodiscard]] uint32_t service(const weft_service_key& key);
  [[nodiscard]] PodId pod(std::string_view uid);

  // The contents of the map `names` that recover() needs.
  [[nodiscard]] Table<weft_name_key, weft_name> names() const;

 private:
  struct Entry {
    uint32_t id = 0;
    uint32_t generation = 0;
    bool used = false;
  };
  using ByText = std::map<std::string, Entry, std::less<>>;

  uint32_t number(ByText& entries, std::string_view text, weft_name_kind kind);
  uint32_t take_next(weft_name_kind kind) { return next_[kind]++; }
  void learn(const weft_name_key& key, const weft_name& value);

  ByText identities_, namespaces_, pods_;
  Table<weft_service_key, Entry> services_;
  uint32_t next_[WEFT_NAME_NEXT] = {1, 1, 1, 1, 1};  // by weft_name_kind; for pods: the next generation
  uint32_t pod_cursor_ = 0;     // the pod id given last: ids are used again as late as possible
  std::set<uint32_t> pod_ids_;  // in use
};

}  // namespace weft::compile
