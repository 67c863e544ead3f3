#pragma once
// One address type for IPv4, IPv6 and v4-mapped IPv6: 16 bytes in network order, IPv4 stored as ::ffff:a.b.c.d.
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "userspace-proxy/base/result.h"

namespace weft::base {

struct Address {
  std::array<uint8_t, 16> bytes{};

  auto operator<=>(const Address&) const = default;
  [[nodiscard]] bool is_v4() const;
  [[nodiscard]] bool is_loopback() const;
  [[nodiscard]] bool is_unspecified() const;
  [[nodiscard]] std::string to_string() const;

  static Address v4(uint32_t host_order);
  static Address from(const in_addr& v4);
  static Address from(const in6_addr& v6);
  static Result<Address> parse(std::string_view text);
};

struct SocketAddress {
  Address address;
  uint16_t port = 0;  // host order

  auto operator<=>(const SocketAddress&) const = default;
  // "10.0.0.1:80", "[fd00::1]:80"
  [[nodiscard]] std::string to_string() const;
  // Fills a sockaddr_in for IPv4 addresses, else a sockaddr_in6. Returns its length.
  socklen_t to_sockaddr(sockaddr_storage* out) const;
  static SocketAddress from_sockaddr(const sockaddr_storage& storage);
  static Result<SocketAddress> parse(std::string_view text);
};

// An address range; prefix_length counts bits of the 16-byte form (IPv4 /24 is 120).
struct Cidr {
  Address address;
  uint8_t prefix_length = 128;

  auto operator<=>(const Cidr&) const = default;
  [[nodiscard]] bool contains(const Address& other) const;
  [[nodiscard]] std::string to_string() const;
  // "10.0.0.0/8", "fd00::/8", or a single address.
  static Result<Cidr> parse(std::string_view text);
};

// getsockname / getpeername.
[[nodiscard]] Result<SocketAddress> local_address(int fd);
[[nodiscard]] Result<SocketAddress> peer_address(int fd);

}  // namespace weft::base

template <>
struct std::hash<weft::base::Address> {
  size_t operator()(const weft::base::Address& a) const noexcept {
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(a.bytes.data()), a.bytes.size()});
  }
};
template <>
struct std::hash<weft::base::SocketAddress> {
  size_t operator()(const weft::base::SocketAddress& a) const noexcept {
    return std::hash<weft::base::Address>{}(a.address) * 31 + a.port;
  }
};
