#include "agent/sandbox/layout.h"

#include <fmt/format.h>

#include <charconv>

#include "agent/sandbox/files.h"

namespace weft::sandbox {

Json Plan::to_json() const {
  return Json{{"name", name},
              {"index", index},
              {"nodes", nodes},
              {"dualStack", dual_stack},
              {"mesh", mesh},
              {"certificateLifetime", certificate_lifetime},
              {"programs", programs},
              {"cgroupRoot", cgroup_root},
              {"images", images}};
}

base::Result<Plan> Plan::from_json(const Json& json) {
  Plan plan;
  plan.name = text_at(json, "name");
  plan.index = static_cast<uint32_t>(int_at(json, "index"));
  plan.nodes = static_cast<uint32_t>(int_at(json, "nodes"));
  plan.dual_stack = bool_at(json, "dualStack");
  plan.mesh = bool_at(json, "mesh");
  plan.certificate_lifetime = text_at(json, "certificateLifetime", plan.certificate_lifetime);
  plan.programs = text_at(json, "programs");
  plan.cgroup_root = text_at(json, "cgroupRoot");
  for (const auto& [image, command] : pairs_at(json, "images")) plan.images[image] = command;
  if (plan.name.empty() || plan.nodes == 0 || plan.nodes > kMaxNodes || plan.cgroup_root.empty())
    return base::fail(base::ErrorKind::kInvalid, "sandbox.json is damaged");
  return plan;
}

base::Status check_name(const std::string& name) {
  static constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789-";
  if (!name.empty() && name.size() <= 32 && name.find_first_not_of(kAllowed) == std::string::npos &&
      name.front() != '-' && name.back() != '-')
    return {};
  return base::fail(
      base::ErrorKind::kInvalid,
      "sandbox name \"" + name + "\": use lower-case letters, digits and inner dashes, at most 32");
}

base::Status check_lifetime(const std::string& text) {
  static constexpr std::string_view kUnits = "smh";
  static constexpr uint64_t kSeconds[] = {1, 60, 3600};
  const size_t unit = text.empty() ? std::string_view::npos : kUnits.find(text.back());
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc{} && unit != std::string_view::npos && end + 1 == text.data() + text.size();
  if (whole && number <= 90 * 86400 && number * kSeconds[unit] >= 10 && number * kSeconds[unit] <= 90 * 86400)
    return {};
  return base::fail(base::ErrorKind::kInvalid,
                    "certificate lifetime \"" + text + "\": use a number and s, m or h, from 10s to 2160h");
}

std::string Layout::pins(const std::string& node) const {
  return std::string(kPinsDir) + "/" + plan_.name + "-" + node;
}

std::vector<std::string> Layout::node_names() const {
  std::vector<std::string> names;
  for (uint32_t number = 1; number <= plan_.nodes; ++number) names.push_back(node_name(number));
  return names;
}

uint32_t Layout::node_number(const std::string& name) const {
  for (uint32_t number = 1; number <= plan_.nodes; ++number)
    if (node_name(number) == name) return number;
  return 0;
}

std::string Layout::fabric_v4(uint32_t host) const {
  return fmt::format("10.77.{}.{}", plan_.index, host);
}
std::string Layout::fabric_v6(uint32_t host) const {
  return fmt::format("fd00:10:77:{:x}::{:x}", plan_.index, host);
}

std::string Layout::pod_v4(uint32_t node, uint32_t host) const {
  return fmt::format("10.244.{}.{}", plan_.index * 16 + node, host);
}

std::string Layout::pod_v6(uint32_t node, uint32_t host) const {
  return fmt::format("fd00:10:244:{:x}::{:x}", plan_.index * 16 + node, host);
}

std::string Layout::pod_cidr_v6(uint32_t node) const {
  return fmt::format("fd00:10:244:{:x}::/64", plan_.index * 16 + node);
}

std::string Layout::service_v4(uint32_t host) const {
  return fmt::format("10.{}.{}.{}", 96 + plan_.index, host / 256, host % 256);
}

std::string Layout::service_v6(uint32_t host) const {
  if (plan_.index == 0) return fmt::format("fd00:10:96::{:x}", host);
  return fmt::format("fd00:10:96:{:x}::{:x}", plan_.index, host);
}

std::string Layout::service_cidr_v6() const {
  if (plan_.index == 0) return "fd00:10:96::/112";
  return fmt::format("fd00:10:96:{:x}::/112", plan_.index);
}

base::Result<Layout> load_layout(const std::string& name) {
  TRY(check_name(name));
  const std::string file = std::string(kSandboxesDir) + "/" + name + "/sandbox.json";
  if (!exists(file))
    return base::fail(base::ErrorKind::kNotFound,
                      "no sandbox \"" + name + "\": make one with `weftctl sandbox up --name " + name + "`");
  TRY_ASSIGN(const auto text, read_file(file));
  TRY_ASSIGN(const auto json, parse_json(text));
  TRY_ASSIGN(auto plan, Plan::from_json(json));
  return Layout(std::move(plan));
}

std::vector<std::string> sandbox_names() {
  std::vector<std::string> names;
  for (const std::string& name : list_directory(kSandboxesDir))
    if (check_name(name) && is_directory(std::string(kSandboxesDir) + "/" + name)) names.push_back(name);
  return names;
}

}  // namespace weft::sandbox
