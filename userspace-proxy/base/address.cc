#include "userspace-proxy/base/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

namespace weft::base {
namespace {

constexpr std::array<uint8_t, 12> kV4Prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

Result<uint16_t> parse_number(std::string_view text, unsigned max, std::string_view whole) {
  unsigned value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || ec != std::errc{} || end != text.data() + text.size() || value > max)
    return fail(ErrorKind::kInvalid, "\"" + std::string(whole) + "\": expected a number up to " + std::to_string(max));
  return static_cast<uint16_t>(value);
}

}  // namespace

bool Address::is_v4() const { return std::memcmp(bytes.data(), kV4Prefix.data(), kV4Prefix.size()) == 0; }

bool Address::is_loopback() const {
  if (is_v4()) return bytes[12] == 127;
  in6_addr v6;
  std::memcpy(&v6, bytes.data(), sizeof v6);
  return IN6_IS_ADDR_LOOPBACK(&v6);
}

bool Address::is_unspecified() const {
  if (is_v4()) return bytes[12] == 0 && bytes[13] == 0 && bytes[14] == 0 && bytes[15] == 0;
  return *this == Address{};
}

std::string Address::to_string() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (is_v4()) {
    inet_ntop(AF_INET, bytes.data() + 12, text, sizeof text);
  } else {
    inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
  }
  return text;
}

Address Address::v4(uint32_t host_order) {
  in_addr a{htonl(host_order)};
  return from(a);
}

Address Address::from(const in_addr& v4) {
  Address out;
  std::memcpy(out.bytes.data(), kV4Prefix.data(), kV4Prefix.size());
  std::memcpy(out.bytes.data() + 12, &v4, 4);
  return out;
}

Address Address::from(const in6_addr& v6) {
  Address out;
  std::memcpy(out.bytes.data(), &v6, 16);
  return out;
}

Result<Address> Address::parse(std::string_view text) {
  std::string copy(text);
  in_addr v4;
  if (inet_pton(AF_INET, copy.c_str(), &v4) == 1) return from(v4);
  in6_addr v6;
  if (inet_pton(AF_INET6, copy.c_str(), &v6) == 1) return from(v6);
  return fail(ErrorKind::kInvalid, "\"" + copy + "\" is not an IPv4 or IPv6 address");
}

std::string SocketAddress::to_string() const {
  const std::string host = address.to_string();
  return (address.is_v4() ? host : "[" + host + "]") + ":" + std::to_string(port);
}

socklen_t SocketAddress::to_sockaddr(sockaddr_storage* out) const {
  std::memset(out, 0, sizeof *out);
  if (address.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(out);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    std::memcpy(&v4->sin_addr, address.bytes.data() + 12, 4);
    return sizeof *v4;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(out);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  std::memcpy(&v6->sin6_addr, address.bytes.data(), 16);
  return sizeof *v6;
}

SocketAddress SocketAddress::from_sockaddr(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    return {Address::from(v4.sin_addr), ntohs(v4.sin_port)};
  }
  if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    return {Address::from(v6.sin6_addr), ntohs(v6.sin6_port)};
  }
  return {};
}

Result<SocketAddress> SocketAddress::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return fail(ErrorKind::kInvalid, "\"" + std::string(text) + "\": expected address:port");
  std::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  TRY_ASSIGN(Address address, Address::parse(host));
  TRY_ASSIGN(uint16_t port, parse_number(text.substr(colon + 1), 65535, text));
  return SocketAddress{address, port};
}

bool Cidr::contains(const Address& other) const {
  const unsigned whole = prefix_length / 8, rest = prefix_length % 8;
  if (std::memcmp(address.bytes.data(), other.bytes.data(), whole) != 0) return false;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff << (8 - rest));
  return (address.bytes[whole] & mask) == (other.bytes[whole] & mask);
}

std::string Cidr::to_string() const {
  const int length = address.is_v4() && prefix_length >= 96 ? prefix_length - 96 : prefix_length;
  return address.to_string() + "/" + std::to_string(length);
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const size_t slash = text.find('/');
  TRY_ASSIGN(Address address, Address::parse(text.substr(0, slash)));
  if (slash == std::string_view::npos) return Cidr{address, 128};
  const bool v4 = address.is_v4() && text.find(':') == std::string_view::npos;
  TRY_ASSIGN(uint16_t length, parse_number(text.substr(slash + 1), v4 ? 32 : 128, text));
  return Cidr{address, static_cast<uint8_t>(v4 ? length + 96 : length)};
}

Result<SocketAddress> local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return fail_errno("getsockname");
  return SocketAddress::from_sockaddr(storage);
}

Result<SocketAddress> peer_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return fail_errno("getpeername");
  return SocketAddress::from_sockaddr(storage);
}

}  // namespace weft::base
