#include <fmt/format.h>

#include <algorithm>

#include "agent/objects/kinds.h"
#include "agent/objects/read.h"
#include "agent/objects/security.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

MtlsMode read_mode(const Node& mtls, const std::string& path, Report& report) {
  const std::string word = text(mtls, "mode");
  if (word == "STRICT") return MtlsMode::kStrict;
  if (word == "PERMISSIVE") return MtlsMode::kPermissive;
  if (word != "DISABLE") return MtlsMode::kUnset;
  report.unsupported_value(path + ".mode", get(mtls, "mode"),
                           "whether a caller encrypts does not depend on it: DISABLE accepts what PERMISSIVE accepts");
  return MtlsMode::kDisable;
}

void read_ports(const Node& spec, PeerAuthentication& out, Report& report) {
  const Node& ports = get(spec, "portLevelMtls");
  if (!ports.entries().empty() && out.selector.empty())
    report.invalid("spec.portLevelMtls", ports, "it needs a selector with labels: its ports are ports of pods");
  for (const Node::Entry& entry : ports.entries()) {
    const std::string path = fmt::format("spec.portLevelMtls[{}]", entry.key);
    const auto port = parse_port(entry.key);
    if (!port) {
      report.error("InvalidValue", path, entry.mark,
                   fmt::format("expected a port from 1 to 65535, found {}", entry.key));
      continue;
    }
    out.ports.push_back({*port, read_mode(entry.value, path, report), entry.mark});
  }
  std::ranges::sort(out.ports, {}, &PortMtls::port);
  const auto twice = std::ranges::adjacent_find(out.ports, {}, &PortMtls::port);
  if (twice != out.ports.end())
    report.error("InvalidValue", "spec.portLevelMtls", twice->mark, fmt::format("port {} occurs twice", twice->port));
}

}  // namespace

std::shared_ptr<Object> read_peer_authentication(const Node& root, Report& report) {
  auto out = std::make_shared<PeerAuthentication>();
  const Node& spec = get(root, "spec");
  out->selector = read_labels(get(spec, "selector"), "matchLabels", "spec.selector.matchLabels", report);
  if (has(spec, "selector") && out->selector.empty())
    report.warn("NoEffect", "spec.selector", get(spec, "selector").mark(), "it names no label and selects everything");
  out->mode = read_mode(get(spec, "mtls"), "spec.mtls", report);
  read_ports(spec, *out, report);
  return out;
}

}  // namespace weft::objects
