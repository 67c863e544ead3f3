#include "agent/state/protocol.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace weft::state {
namespace {

using model::Protocol;

constexpr std::pair<std::string_view, Protocol> kWords[] = {
    {"http", Protocol::kHttp}, {"http_proxy", Protocol::kHttp}, {"http2", Protocol::kHttp2},
    {"grpc", Protocol::kGrpc}, {"grpc-web", Protocol::kGrpc},   {"https", Protocol::kTls},
    {"tls", Protocol::kTls},   {"tcp", Protocol::kTcp},         {"mongo", Protocol::kTcp},
    {"mysql", Protocol::kTcp}, {"redis", Protocol::kTcp},       {"udp", Protocol::kTcp},
};
// Only in appProtocol.
constexpr std::pair<std::string_view, Protocol> kKubernetesWords[] = {
    {"kubernetes.io/h2c", Protocol::kHttp2},
    {"kubernetes.io/ws", Protocol::kHttp},
    {"kubernetes.io/wss", Protocol::kTls},
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return out;
}

std::optional<Protocol> find(std::span<const std::pair<std::string_view, Protocol>> words,
                             std::string_view word) {
  for (const auto& [name, protocol] : words)
    if (name == word) return protocol;
  return std::nullopt;
}

// "http-web" means http; "grpc-web" is a word of its own.
std::optional<Protocol> from_name(std::string_view name) {
  const std::string word = lower(name);
  if (word.starts_with("grpc-web")) return Protocol::kGrpc;
  return find(kWords, std::string_view(word).substr(0, word.find('-')));
}

}  // namespace

PortProtocol protocol_of(const objects::ServicePort& port) {
  if (port.protocol == objects::TransportProtocol::kUdp) return {Protocol::kUdp, true};
  std::optional<Protocol> found;
  if (!port.app_protocol.empty()) {
    found = find(kKubernetesWords, lower(port.app_protocol));
    if (!found) found = from_name(port.app_protocol);
  } else {
    found = from_name(port.name);
  }
  return found ? PortProtocol{*found, true} : PortProtocol{};
}

std::optional<Protocol> plaintext_http(const std::string& gateway_protocol) {
  const std::string word = lower(gateway_protocol);
  if (word == "http") return Protocol::kHttp;
  if (word == "http2") return Protocol::kHttp2;
  if (word == "grpc" || word == "grpc-web") return Protocol::kGrpc;
  return std::nullopt;
}

}  // namespace weft::state
