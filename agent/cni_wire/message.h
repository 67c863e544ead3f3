#pragma once
// What weft-cni and the agent say to each other: one packet of JSON there and one back over a Unix
// SOCK_SEQPACKET socket. Both ends are root's; all the same nothing is believed about a packet.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/result.h"

namespace weft::cni {

inline constexpr int kWireVersion = 1;
inline constexpr size_t kMaxPacketBytes = 16 * 1024;
inline constexpr size_t kMaxAddresses = 16;
inline constexpr std::string_view kDefaultSocket = "/run/weft/cni.sock";

// Of the CNI specification 1.1.0 ("Error"), plus our own from 100 on.
enum class Code : uint32_t {
  kIncompatibleVersion = 1,
  kUnknownContainer = 3,
  kInvalidEnvironment = 4,
  kIo = 5,
  kDecode = 6,
  kInvalidConfig = 7,
  kTryAgainLater = 11,
  kNotCaptured = 100,  // CHECK: the pod should be captured and is not
};

enum class Command : uint8_t { kAdd, kCheck, kDel };

// One sandbox of a pod as the container runtime told it.
struct Request {
  Command command = Command::kAdd;
  std::string container_id;
  std::string netns;                   // path; may be empty for kDel
  std::string interface;               // inside
  std::string ns, name, uid;           // of the pod; `uid` may be empty for kDel
  std::vector<std::string> addresses;  // of the pod's interface, without prefix length
  bool operator==(const Request&) const = default;
};

struct Answer {
  bool ok = false;
  bool captured = false;             // with ok: armed; else the pod is none of the mesh
  Code code = Code::kTryAgainLater;  // without ok
  std::string message;               // a sentence: why
  bool operator==(const Answer&) const = default;
};

[[nodiscard]] std::string encode(const Request& request);
[[nodiscard]] std::string encode(const Answer& answer);
// Bounded and checked: names are names, the path is absolute, addresses have the letters of addresses.
[[nodiscard]] base::Result<Request> decode_request(std::string_view packet);
[[nodiscard]] base::Result<Answer> decode_answer(std::string_view packet);

// Whether it may be the name, uid or namespace of a Kubernetes object, or the id of a container.
[[nodiscard]] bool is_name(std::string_view text);

}  // namespace weft::cni
