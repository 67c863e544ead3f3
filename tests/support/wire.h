#pragma once
// What a wire carries: every packet of one interface, searched for byte strings while it goes by. Needs root.
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "userspace-proxy/base/fd.h"

namespace weft::test {

// The part of an IP packet that carries a flow.
struct Segment {
  std::string flow;  // addresses, ports and protocol as bytes: the key of one direction
  uint16_t source_port = 0, destination_port = 0;
  std::string_view payload;
};
// TCP and UDP over IPv4 and IPv6; others, fragments and cut packets give an empty flow. Pure.
[[nodiscard]] Segment segment_of(std::string_view packet);

// Finds strings in a stream that comes in pieces: also those that lie across the pieces' borders.
class StreamSearch {
 public:
  explicit StreamSearch(std::vector<std::string> needles);
  // One more piece of the stream named `flow`; nothing is kept but the last bytes of each stream.
  void feed(const std::string& flow, std::string_view piece);
  [[nodiscard]] size_t count(size_t needle) const { return counts_[needle]; }
  [[nodiscard]] size_t total() const;

 private:
  std::vector<std::string> needles_;
  std::vector<size_t> counts_;
  size_t longest_ = 0;
  std::map<std::string, std::string> tails_;  // by flow: too short to hold a needle that is counted already
};

// Captures from its making to stop(). Owner: a test. Its thread is the only one that reads; results are asked
// for after stop().
class Wire {
 public:
  // `netns`: path of the network namespace that has `interface`. Loopback of the same name works too.
  Wire(const std::string& netns, const std::string& interface, std::vector<std::string> needles);
  ~Wire() { stop(); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  void stop();

  // Why the result proves nothing: the capture did not start, or packets were lost. Empty when it is sound.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }
  [[nodiscard]] size_t found(size_t needle) const { return search_.count(needle); }
  [[nodiscard]] size_t found() const { return search_.total(); }
  [[nodiscard]] uint64_t packets() const { return packets_; }
  // Packets with this port at either end, and their payload.
  [[nodiscard]] uint64_t packets_of_port(uint16_t port) const;
  [[nodiscard]] uint64_t bytes_of_port(uint16_t port) const;

 private:
  struct Count {
    uint64_t packets = 0, bytes = 0;
  };
  void read_until_stopped();
  void take(std::string_view packet);
  void ask_for_losses();

  std::string trouble_;  // before the socket, whose making may write it
  StreamSearch search_;
  base::Fd socket_;
  std::thread reader_;
  std::atomic<bool> stopping_{false};
  uint64_t packets_ = 0;
  std::map<uint16_t, Count> ports_;
};

}  // namespace weft::test
