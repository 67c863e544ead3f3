#include "agent/cni_wire/message.h"

#include <algorithm>
#include <array>
#include <utility>

#include "agent/cni_wire/json.h"

namespace weft::cni {
namespace {

constexpr size_t kMaxName = 253, kMaxPath = 4095, kMaxMessage = 1024;
constexpr std::array<std::pair<Command, std::string_view>, 3> kCommands = {
    {{Command::kAdd, "ADD"}, {Command::kCheck, "CHECK"}, {Command::kDel, "DEL"}}};

bool is_address(std::string_view text) {
  return !text.empty() && text.size() <= 45 &&
         text.find_first_not_of("0123456789abcdefABCDEF.:") == std::string_view::npos;
}

bool is_path(std::string_view text) {
  return text.starts_with('/') && text.size() <= kMaxPath && text.find('\0') == std::string_view::npos &&
         text.find("/../") == std::string_view::npos && !text.ends_with("/..");
}

std::unexpected<base::Error> refuse(std::string what) {
  return base::fail(base::ErrorKind::kInvalid, std::move(what));
}

base::Result<Json> open(std::string_view packet) {
  if (packet.size() > kMaxPacketBytes) return refuse("the packet is too long");
  TRY_ASSIGN(auto json, Json::parse(packet));
  if (json.member("version").as_count() != kWireVersion)
    return base::fail(base::ErrorKind::kUnsupported,
                      "the other side speaks another version of this protocol than " +
                          std::to_string(kWireVersion) +
                          ": weft-cni and weft-agent have to be of one release");
  return json;
}

base::Status check(const Request& request) {
  if (!is_name(request.container_id)) return refuse("containerID is missing or no name");
  if (!is_name(request.ns) || !is_name(request.name))
    return refuse("the pod's namespace or name is missing or no name");
  const bool may_be_empty = request.command == Command::kDel;
  if (!(may_be_empty && request.uid.empty()) && !is_name(request.uid))
    return refuse("the pod's uid is missing or no name (K8S_POD_UID, which old runtimes do not tell)");
  if (!request.interface.empty() && !is_name(request.interface)) return refuse("ifname is no name");
  if (!(may_be_empty && request.netns.empty()) && !is_path(request.netns))
    return refuse("netns is no absolute path");
  if (!std::ranges::all_of(request.addresses, is_address)) return refuse("one of the addresses is none");
  return {};
}

}  // namespace

bool is_name(std::string_view text) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  };
  return !text.empty() && text.size() <= kMaxName && std::ranges::all_of(text, good);
}

std::string encode(const Request& request) {
  const auto* const command =
      std::ranges::find(kCommands, request.command, &std::pair<Command, std::string_view>::first);
  std::string out = "{\"version\":" + std::to_string(kWireVersion) + ",\"command\":" + quote(command->second);
  const std::array<std::pair<std::string_view, const std::string*>, 6> fields = {
      {{"containerID", &request.container_id},
       {"netns", &request.netns},
       {"ifname", &request.interface},
       {"namespace", &request.ns},
       {"name", &request.name},
       {"uid", &request.uid}}};
  for (const auto& [key, value] : fields) out += "," + quote(key) + ":" + quote(*value);
  out += ",\"addresses\":[";
  for (const std::string& address : request.addresses) {
    if (out.back() != '[') out += ',';
    out += quote(address);
  }
  return out + "]}";
}

std::string encode(const Answer& answer) {
  return "{\"version\":" + std::to_string(kWireVersion) + ",\"ok\":" + (answer.ok ? "true" : "false") +
         ",\"captured\":" + (answer.captured ? "true" : "false") +
         ",\"code\":" + std::to_string(static_cast<uint32_t>(answer.code)) +
         ",\"message\":" + quote(answer.message.substr(0, kMaxMessage)) + "}";
}

base::Result<Request> decode_request(std::string_view packet) {
  TRY_ASSIGN(auto json, open(packet));
  Request out;
  const std::string command = json.member("command").string_or("");
  const auto* const known =
      std::ranges::find(kCommands, command, &std::pair<Command, std::string_view>::second);
  if (known == kCommands.end()) return refuse("the command is none of ADD, CHECK and DEL");
  out.command = known->first;
  out.container_id = json.member("containerID").string_or("");
  out.netns = json.member("netns").string_or("");
  out.interface = json.member("ifname").string_or("");
  out.ns = json.member("namespace").string_or("");
  out.name = json.member("name").string_or("");
  out.uid = json.member("uid").string_or("");
  for (const Json& address : json.member("addresses").items()) out.addresses.push_back(address.string_or(""));
  if (out.addresses.size() > kMaxAddresses) return refuse("too many addresses");
  TRY(check(out));
  return out;
}

base::Result<Answer> decode_answer(std::string_view packet) {
  TRY_ASSIGN(auto json, open(packet));
  const auto ok = json.member("ok").as_bool(), captured = json.member("captured").as_bool();
  const auto code = json.member("code").as_count();
  if (!ok || !captured || !code) return refuse("ok, captured or code is missing");
  return Answer{*ok, *captured, static_cast<Code>(*code),
                json.member("message").string_or("").substr(0, kMaxMessage)};
}

}  // namespace weft::cni
