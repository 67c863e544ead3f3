#include "userspace-proxy/hbone/headers.h"

#include <algorithm>
#include <charconv>

namespace weft::hbone {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_host_char(char c) {
  return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

std::optional<uint16_t> parse_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || !std::ranges::all_of(text, is_digit)) return {};
  uint32_t port = 0;
  std::from_chars(text.data(), text.data() + text.size(), port);
  if (port == 0 || port > 65535) return {};
  return static_cast<uint16_t>(port);
}

// REQUIRES: lower case. Labels of 1 to 63 letters, digits, '-' and '_'.
bool is_host(std::string_view host) {
  if (host.empty() || host.size() > kMaxHost) return false;
  size_t label = 0;
  for (const char c : host) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
    } else if (!is_host_char(c) || ++label > 63) {
      return false;
    }
  }
  return label != 0;
}

bool is_value_char(char c) {
  return c > ' ' && c < 0x7f && c != ',' && c != ';' && c != '=' && c != '"' && c != '\\';
}

bool is_value(std::string_view value) {
  return !value.empty() && value.size() <= kMaxBaggageValue && std::ranges::all_of(value, is_value_char);
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Cuts off what is in front of the next `mark` and gives it back.
std::string_view next_part(std::string_view& rest, char mark) {
  const auto part = rest.substr(0, rest.find(mark));
  rest.remove_prefix(std::min(part.size() + 1, rest.size()));
  return part;
}

constexpr std::array<std::string_view, 4> kWorkloadKinds = {"deployment", "cronjob", "pod", "job"};

struct Member {
  std::string_view key;
  std::string_view Baggage::*value;
};
constexpr std::array<Member, 6> kMembers = {{
    {"k8s.cluster.name", &Baggage::cluster},
    {"k8s.namespace.name", &Baggage::ns},
    {"service.name", &Baggage::service},
    {"service.version", &Baggage::revision},
    {"cloud.region", &Baggage::region},
    {"cloud.availability_zone", &Baggage::zone},
}};

void set_once(std::string_view& field, std::string_view value) {
  if (field.empty()) field = value;
}

void take_workload(Baggage& out, std::string_view key, std::string_view value) {
  if (!out.workload.empty() || !key.starts_with("k8s.") || !key.ends_with(".name")) return;
  const auto kind = key.substr(4, key.size() - 4 - 5);
  if (std::ranges::find(kWorkloadKinds, kind) == kWorkloadKinds.end()) return;
  out.workload_kind = kind;
  out.workload = value;
}

void add_member(std::string& out, std::string_view key, std::string_view value) {
  if (!is_value(value)) return;
  if (!out.empty()) out += ',';
  out.append(key).append("=").append(value);
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool read_hex(std::string_view text, uint8_t* out) {
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]), low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return false;
    *out++ = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

template <typename Bytes>
void write_hex(std::string& out, const Bytes& bytes) {
  for (const uint8_t byte : bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
}

template <typename Bytes>
bool all_zero(const Bytes& bytes) {
  return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

std::string Authority::to_string() const {
  if (!is_name()) return base::SocketAddress{address, port}.to_string();
  return host + ":" + std::to_string(port);
}

base::Result<Authority> parse_authority(std::string_view text) {
  const auto refuse = [](const char* why) { return base::fail(base::ErrorKind::kInvalid, why); };
  if (text.size() > kMaxHost + 6) return refuse("the authority is too long");
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refuse("the authority has no port");
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return refuse("the authority's port is not a number from 1 to 65535");
  auto host = text.substr(0, colon);
  Authority out;
  out.port = *port;
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (auto address = base::Address::parse(host)) {
    // "fd00::1:80" could be read in two ways: IPv6 comes in brackets, IPv4 never does.
    if (bracketed != (host.find(':') != std::string_view::npos))
      return refuse("the authority's address is not IPv4 or IPv6 in brackets");
    out.address = *address;
    return out;
  }
  if (bracketed) return refuse("the authority's brackets hold no IPv6 address");
  out.host = host;
  std::ranges::transform(out.host, out.host.begin(), to_lower);
  if (!is_host(out.host)) return refuse("the authority holds neither an address nor a host name");
  // A name of digits and dots alone would be an address that was mistyped or is written to deceive.
  if (std::ranges::all_of(out.host, [](char c) { return is_digit(c) || c == '.'; }))
    return refuse("the authority holds no valid address");
  return out;
}

Baggage parse_baggage(std::string_view text) {
  Baggage out;
  text = text.substr(0, kMaxText);
  for (size_t count = 0; !text.empty() && count < kMaxBaggage; ++count) {
    auto member = trim(next_part(text, ','));
    const auto key = next_part(member, '=');
    const auto value = next_part(member, '=');
    if (!is_value(value)) continue;
    for (const auto& known : kMembers)
      if (known.key == key) set_once(out.*known.value, value);
    take_workload(out, key, value);
  }
  return out;
}

std::string write_baggage(const Baggage& baggage) {
  std::string out;
  add_member(out, kMembers[0].key, baggage.cluster);
  add_member(out, kMembers[1].key, baggage.ns);
  if (std::ranges::find(kWorkloadKinds, baggage.workload_kind) != kWorkloadKinds.end())
    add_member(out, "k8s." + std::string(baggage.workload_kind) + ".name", baggage.workload);
  for (size_t i = 2; i < kMembers.size(); ++i) add_member(out, kMembers[i].key, baggage.*kMembers[i].value);
  return out;
}

std::string write_forwarded(const base::SocketAddress& client, std::string_view host) {
  std::string out = "for=\"" + client.to_string() + '"';
  std::string lower(host.substr(0, kMaxHost + 1));
  std::ranges::transform(lower, lower.begin(), to_lower);
  if (is_host(lower)) out.append(";host=").append(host);
  return out;
}

std::string_view forwarded_host(std::string_view text) {
  if (text.size() > kMaxText) return {};
  if (!std::ranges::all_of(text, [](char c) { return c >= ' ' && c < 0x7f; })) return {};
  while (!text.empty()) {
    auto part = next_part(text, ';');
    if (!part.starts_with("host=")) continue;
    part.remove_prefix(5);
    if (part.size() >= 2 && part.front() == '"' && part.back() == '"') part = part.substr(1, part.size() - 2);
    return part.size() <= kMaxHost + 6 ? part : std::string_view{};
  }
  return {};
}

std::string Traceparent::to_string() const {
  std::string out = "00-";
  out.reserve(55);
  write_hex(out, trace);
  out += '-';
  write_hex(out, parent);
  out += '-';
  write_hex(out, std::array<uint8_t, 1>{flags});
  return out;
}

std::optional<Traceparent> parse_traceparent(std::string_view text) {
  if (text.size() != 55 || !text.starts_with("00-") || text[35] != '-' || text[52] != '-') return {};
  Traceparent out;
  if (!read_hex(text.substr(3, 32), out.trace.data()) || !read_hex(text.substr(36, 16), out.parent.data()) ||
      !read_hex(text.substr(53, 2), &out.flags))
    return {};
  if (all_zero(out.trace) || all_zero(out.parent)) return {};
  return out;
}

Traceparent fresh_traceparent(std::mt19937_64& random) {
  Traceparent out;
  const auto fill = [&](auto& bytes) {
    do
      for (auto& byte : bytes) byte = static_cast<uint8_t>(random() >> 56);
    while (all_zero(bytes));  // which the format keeps for "none"
  };
  fill(out.trace);
  fill(out.parent);
  return out;
}

bool is_proxy_port(uint16_t port) {
  switch (port) {
    case 15000:  // operator's door
    case 15001:  // outbound
    case 15006:  // plain inbound
    case 15008:  // HBONE
    case 15020:  // metrics
    case 15021:  // readiness
    case 15080:  // SOCKS of other peers
      return true;
    default:
      return false;
  }
}

}  // namespace weft::hbone
