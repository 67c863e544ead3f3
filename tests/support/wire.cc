#include "tests/support/wire.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace weft::test {
namespace {

constexpr size_t kLargestPacket = 256 * 1024;  // with segmentation left to the interface
constexpr int kQueue = 128 << 20;              // bytes the kernel keeps while this process has no turn
constexpr size_t kMostFlows = 100'000;

uint16_t number_at(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) << 8 | static_cast<uint8_t>(bytes[at + 1]));
}

// The socket belongs to the namespace it was made in; the thread that makes it goes nowhere else afterwards.
base::Fd packet_socket(const std::string& netns, const std::string& interface, std::string* trouble) {
  base::Fd made;
  std::thread([&] {
    const base::Fd place(::open(netns.c_str(), O_RDONLY | O_CLOEXEC));
    if (!place || ::setns(place.get(), CLONE_NEWNET) != 0) {
      *trouble = "enter " + netns + ": " + std::strerror(errno);
      return;
    }
    // Without a protocol nothing is queued before the interface is chosen.
    base::Fd fd(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kQueue, sizeof kQueue);
    sockaddr_ll where{};
    where.sll_family = AF_PACKET;
    where.sll_protocol = htons(ETH_P_ALL);
    where.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
    if (!fd || where.sll_ifindex == 0 || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) != 0)
      *trouble = "capture on " + interface + " in " + netns + ": " + std::strerror(errno);
    else
      made = std::move(fd);
  }).join();
  return made;
}

}  // namespace

Segment segment_of(std::string_view packet) {
  if (packet.size() < 20) return {};
  const int version = static_cast<uint8_t>(packet[0]) >> 4;
  size_t head = 0;
  uint8_t protocol = 0;
  std::string_view addresses;
  if (version == 4) {
    head = (static_cast<size_t>(packet[0]) & 15) * 4;
    protocol = static_cast<uint8_t>(packet[9]);
    addresses = packet.substr(12, 8);
    if (head < 20 || (number_at(packet, 6) & 0x1fff) != 0) return {};
    // What follows the packet is padding of the link.
    const size_t length = number_at(packet, 2);
    if (length >= head && length < packet.size()) packet = packet.substr(0, length);
  } else if (version == 6 && packet.size() >= 40) {
    head = 40;
    protocol = static_cast<uint8_t>(packet[6]);
    addresses = packet.substr(8, 32);
  } else {
    return {};
  }
  const bool tcp = protocol == 6;
  if ((!tcp && protocol != 17) || packet.size() < head + (tcp ? 20 : 8)) return {};
  const size_t own = tcp ? static_cast<size_t>(static_cast<uint8_t>(packet[head + 12]) >> 4) * 4 : 8;
  if (own < 8 || packet.size() < head + own) return {};
  Segment segment{std::string(addresses), number_at(packet, head), number_at(packet, head + 2),
                  packet.substr(head + own)};
  segment.flow += std::string(packet.substr(head, 4)) + static_cast<char>(protocol);
  return segment;
}

StreamSearch::StreamSearch(std::vector<std::string> needles)
    : needles_(std::move(needles)), counts_(needles_.size(), 0) {
  for (const std::string& needle : needles_) longest_ = std::max(longest_, needle.size());
}

void StreamSearch::feed(const std::string& flow, std::string_view piece) {
  if (longest_ == 0 || piece.empty()) return;
  if (tails_.size() >= kMostFlows) tails_.clear();
  std::string& tail = tails_[flow];
  const std::string text = tail + std::string(piece);
  for (size_t i = 0; i < needles_.size(); ++i) {
    const std::string& needle = needles_[i];
    // What ends within the old tail was counted with the piece that brought it.
    const size_t first = tail.size() >= needle.size() ? tail.size() - needle.size() + 1 : 0;
    for (size_t at = text.find(needle, first); at != std::string::npos; at = text.find(needle, at + 1)) ++counts_[i];
  }
  tail = text.substr(text.size() - std::min(text.size(), longest_ - 1));
}

size_t StreamSearch::total() const {
  size_t sum = 0;
  for (const size_t count : counts_) sum += count;
  return sum;
}

Wire::Wire(const std::string& netns, const std::string& interface, std::vector<std::string> needles)
    : search_(std::move(needles)), socket_(packet_socket(netns, interface, &trouble_)) {
  if (socket_) reader_ = std::thread([this] { read_until_stopped(); });
}

void Wire::stop() {
  stopping_ = true;
  if (reader_.joinable()) reader_.join();
}

void Wire::read_until_stopped() {
  std::string buffer(kLargestPacket, '\0');
  for (;;) {
    // What is queued when the end is asked for still counts: the end is an empty queue.
    const bool last = stopping_;
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (got >= 0) {
      if (static_cast<size_t>(got) > buffer.size()) trouble_ = "a packet was cut";
      take({buffer.data(), std::min(static_cast<size_t>(got), buffer.size())});
      continue;
    }
    if (last) break;
    pollfd waiting{socket_.get(), POLLIN, 0};
    ::poll(&waiting, 1, 20);
  }
  ask_for_losses();
}

void Wire::take(std::string_view packet) {
  ++packets_;
  const Segment segment = segment_of(packet);
  // Of what is no flow the bytes are searched all the same.
  search_.feed(segment.flow, segment.flow.empty() ? packet : segment.payload);
  for (const uint16_t port : {segment.source_port, segment.destination_port}) {
    if (segment.flow.empty() || (port == segment.destination_port && port == segment.source_port)) continue;
    ++ports_[port].packets;
    ports_[port].bytes += segment.payload.size();
  }
}

void Wire::ask_for_losses() {
  tpacket_stats stats{};
  socklen_t length = sizeof stats;
  if (::getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &length) == 0 && stats.tp_drops > 0)
    trouble_ = std::to_string(stats.tp_drops) + " packets were lost by the capture";
}

uint64_t Wire::packets_of_port(uint16_t port) const {
  const auto found = ports_.find(port);
  return found == ports_.end() ? 0 : found->second.packets;
}

uint64_t Wire::bytes_of_port(uint16_t port) const {
  const auto found = ports_.find(port);
  return found == ports_.end() ? 0 : found->second.bytes;
}

}  // namespace weft::test
