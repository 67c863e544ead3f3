// The seed application in C++: answers as the Go server `httpgo` does (vkuznet/httpgo), so that the mesh is
// tried with the same replies and no Go tool chain. One thread a connection; SIGTERM ends it at once, open
// requests included.
//   httpgo [-port N] [-version]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr size_t kMaxHead = 1 << 20;   // as Go's DefaultMaxHeaderBytes
constexpr size_t kMaxKept = 64 << 20;  // of a body; the rest is read and dropped
constexpr size_t kGoBuffer = 2048;     // longer replies are chunked
constexpr int kMaxConnections = 8192;
constexpr size_t kStack = 256 << 10;

std::atomic<int> open_connections{0};

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// Go's canonical header form: x-request-id -> X-Request-Id.
std::string canonical(std::string_view name) {
  std::string out(name);
  bool start = true;
  for (char& c : out) {
    c = static_cast<char>(start ? std::toupper(static_cast<unsigned char>(c))
                                : std::tolower(static_cast<unsigned char>(c)));
    start = c == '-';
  }
  return out;
}

// Go's %q for what headers can hold.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    char escaped[8];
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += '\\';
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    out += byte >= 0x20 && byte != 0x7f ? std::string(1, c) : std::string(escaped);
  }
  return out + "\"";
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

struct Request {
  std::string method, target, version, body;
  std::vector<std::pair<std::string, std::string>> headers;  // canonical names

  [[nodiscard]] std::optional<std::string> header(std::string_view name) const {
    for (const auto& [key, value] : headers)
      if (key == name) return value;
    return std::nullopt;
  }
  [[nodiscard]] bool http_1_1() const { return version == "HTTP/1.1"; }
  [[nodiscard]] bool keep_alive() const {
    const std::string connection = lower(header("Connection").value_or(""));
    if (connection.find("close") != std::string::npos) return false;
    return http_1_1() || connection.find("keep-alive") != std::string::npos;
  }
  [[nodiscard]] std::string path() const { return target.substr(0, target.find('?')); }
};

// A connected socket with a read buffer. Every call that fails means: the peer is gone, close.
class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) {}
  ~Connection() { ::close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool fill() {
    char block[16384];
    ssize_t got = 0;
    do got = ::recv(fd_, block, sizeof block, 0);
    while (got < 0 && errno == EINTR);
    if (got <= 0) return false;
    buffer_.append(block, static_cast<size_t>(got));
    return true;
  }
  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return false;
      text.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // Up to and including `end`; nothing if the peer closes first or the limit is passed.
  std::optional<std::string> until(std::string_view end, size_t limit, bool* too_long) {
    size_t searched = 0;
    while (true) {
      const size_t at = buffer_.find(end, searched);
      if (at != std::string::npos) return take(at + end.size());
      if (buffer_.size() > limit) {
        *too_long = true;
        return std::nullopt;
      }
      searched = buffer_.size() < end.size() ? 0 : buffer_.size() - end.size() + 1;
      if (!fill()) return std::nullopt;
    }
  }
  // Reads `count` bytes, keeps what fits into the limit.
  bool body(uint64_t count, std::string* keep) {
    while (count > 0) {
      if (buffer_.empty() && !fill()) return false;
      const size_t part = static_cast<size_t>(std::min<uint64_t>(count, buffer_.size()));
      if (keep->size() < kMaxKept) keep->append(buffer_, 0, std::min(part, kMaxKept - keep->size()));
      buffer_.erase(0, part);
      count -= part;
    }
    return true;
  }
  // Lets the peer read a last reply before the close, instead of a reset for what it still sends.
  void linger() {
    ::shutdown(fd_, SHUT_WR);
    timeval wait{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    char block[16384];
    for (int i = 0; i < 64 && ::recv(fd_, block, sizeof block, 0) > 0; ++i) {
    }
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  std::string take(size_t count) {
    std::string out = buffer_.substr(0, count);
    buffer_.erase(0, count);
    return out;
  }
  int fd_;
  std::string buffer_;
};

// 0: fine; else the status that refuses the request.
int parse_head(const std::string& head, Request* request) {
  size_t line_end = head.find("\r\n");
  const std::string first = head.substr(0, line_end);
  const size_t one = first.find(' '), two = first.rfind(' ');
  if (one == std::string::npos || two == one) return 400;
  request->method = first.substr(0, one);
  request->target = first.substr(one + 1, two - one - 1);
  request->version = first.substr(two + 1);
  if (request->method.empty() || request->target.empty()) return 400;
  if (!request->version.starts_with("HTTP/1.")) return request->version.starts_with("HTTP/") ? 505 : 400;
  for (size_t at = line_end + 2; at < head.size() - 2; at = line_end + 2) {
    line_end = head.find("\r\n", at);
    const std::string_view line = std::string_view(head).substr(at, line_end - at);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return 400;
    const std::string_view name = line.substr(0, colon);
    if (name.find_first_of(" \t") != std::string_view::npos) return 400;
    request->headers.emplace_back(canonical(name), std::string(trim(line.substr(colon + 1))));
  }
  const auto hosts = std::ranges::count_if(request->headers, [](const auto& h) { return h.first == "Host"; });
  if (request->http_1_1() && hosts != 1) return 400;
  return 0;
}

bool number(std::string_view text, int base, uint64_t* out) {
  if (text.empty() || text.size() > 16) return false;
  char* end = nullptr;
  const std::string copy(text);
  *out = std::strtoull(copy.c_str(), &end, base);
  return end == copy.c_str() + copy.size() && std::isxdigit(static_cast<unsigned char>(copy.front())) != 0;
}

int read_chunks(Connection& connection, std::string* body) {
  bool too_long = false;
  while (true) {
    auto line = connection.until("\r\n", 4096, &too_long);
    if (!line) return too_long ? 400 : -1;
    uint64_t size = 0;
    if (!number(trim(std::string_view(*line).substr(0, line->find_first_of(";\r"))), 16, &size)) return 400;
    if (size == 0) break;
    std::string end;
    if (!connection.body(size, body) || !connection.body(2, &end)) return -1;
    if (end != "\r\n") return 400;
  }
  while (true) {  // trailers
    auto line = connection.until("\r\n", 65536, &too_long);
    if (!line) return too_long ? 400 : -1;
    if (*line == "\r\n") return 0;
  }
}

// 0: read; -1: the peer went away; else the status that refuses it.
int read_body(Connection& connection, Request* request) {
  const auto coding = request->header("Transfer-Encoding");
  const auto length = request->header("Content-Length");
  const bool chunked = coding && lower(*coding) == "chunked";
  if (coding && !chunked) return 501;
  uint64_t size = 0;
  if (!chunked && length && !number(*length, 10, &size)) return 400;
  if ((chunked || size > 0) && lower(request->header("Expect").value_or("")) == "100-continue" &&
      !connection.send("HTTP/1.1 100 Continue\r\n\r\n"))
    return -1;
  if (chunked) return read_chunks(connection, &request->body);
  return connection.body(size, &request->body) ? 0 : -1;
}

std::string http_date() {
  const time_t now = std::time(nullptr);
  tm utc{};
  ::gmtime_r(&now, &utc);
  char text[64];
  std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return text;
}

const char* reason(int status) {
  static const std::map<int, const char*> kReasons = {{200, "OK"},
                                                      {400, "Bad Request"},
                                                      {431, "Request Header Fields Too Large"},
                                                      {500, "Internal Server Error"},
                                                      {501, "Not Implemented"},
                                                      {505, "HTTP Version Not Supported"}};
  auto found = kReasons.find(status);
  return found == kReasons.end() ? "Unknown" : found->second;
}

// A reply in pieces. Chunked where the length is not known (HTTP/1.1), else ended by the close.
class Reply {
 public:
  Reply(Connection& connection, const Request& request) : connection_(connection), request_(request) {}

  bool whole(int status, const std::string& type, const std::string& body) {
    if (request_.http_1_1() && body.size() > kGoBuffer && request_.method != "HEAD")
      return begin(status, type) && piece(body) && end();
    close_ = !request_.keep_alive();
    const bool bare = request_.method == "HEAD";
    return connection_.send(head(status, type) + "Content-Length: " + std::to_string(body.size()) +
                            "\r\n\r\n" + (bare ? "" : body));
  }
  bool begin(int status, const std::string& type) {
    chunked_ = request_.http_1_1();
    close_ = !chunked_ || !request_.keep_alive();
    return connection_.send(head(status, type) + (chunked_ ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n"));
  }
  bool piece(std::string_view text) {
    if (text.empty() || request_.method == "HEAD") return true;
    if (!chunked_) return connection_.send(text);
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", text.size());
    return connection_.send(size + std::string(text) + "\r\n");
  }
  bool end() { return !chunked_ || request_.method == "HEAD" || connection_.send("0\r\n\r\n"); }
  [[nodiscard]] bool closes() const { return close_; }

 private:
  std::string head(int status, const std::string& type) {
    std::string out = "HTTP/1.1 " + std::to_string(status) + " " + reason(status) + "\r\n";
    if (!request_.http_1_1() && !close_) out += "Connection: keep-alive\r\n";
    if (request_.http_1_1() && close_) out += "Connection: close\r\n";
    return out + "Date: " + http_date() + "\r\nContent-Type: " + type + "\r\n";
  }

  Connection& connection_;
  const Request& request_;
  bool chunked_ = false, close_ = false;
};

constexpr const char* kText = "text/plain; charset=utf-8";

std::string echo_text(const Request& request, const std::string& peer) {
  std::string out = request.method + " " + request.target + " " + request.version + "\n";
  std::map<std::string, std::vector<std::string>> grouped;
  for (const auto& [name, value] : request.headers)
    if (name != "Host") grouped[name].push_back(value);
  auto list = [](const std::vector<std::string>& values) {
    std::string text = "[";
    for (const std::string& value : values) text += (text.size() > 1 ? " " : "") + quoted(value);
    return text + "]";
  };
  for (const auto& [name, values] : grouped) {
    const std::string small = lower(name);
    if (small.find("hmac") != std::string::npos || small.find("cookie") != std::string::npos) continue;
    out += "Header field " + quoted(name) + ", Value " + list(values) + "\n";
  }
  out += "Host = " + quoted(request.header("Host").value_or("")) + "\n";
  out += "RemoteAddr= " + quoted(peer) + "\n";
  out += "\n\nFinding value of \"Accept\" " + list(grouped["Accept"]) + "\n";
  return out + "Hello from Go\n";
}

std::string request_dump(const Request& request) {
  std::string out = request.method + " " + request.target + " " + request.version + "\r\n";
  out += "Host: " + request.header("Host").value_or("") + "\r\n";
  for (const auto& [name, value] : request.headers)
    if (name != "Host") out += name + ": " + value + "\r\n";
  return out + "\r\n" + request.body;
}

std::string query_value(const Request& request, const std::string& name) {
  const size_t mark = request.target.find('?');
  if (mark == std::string::npos) return "";
  std::string rest = request.target.substr(mark + 1) + "&";
  for (size_t end = rest.find('&'); end != std::string::npos; end = rest.find('&')) {
    const std::string pair = rest.substr(0, end);
    if (pair.starts_with(name + "=")) return pair.substr(name.size() + 1);
    rest.erase(0, end + 1);
  }
  return "";
}

// "3KB" -> 3 records, "2MB" -> 2000, "1GB" -> 1,000,000.
std::optional<uint64_t> record_count(const std::string& size) {
  uint64_t count = 0;
  if (size.size() < 3 || !number(std::string_view(size).substr(0, size.size() - 2), 10, &count))
    return std::nullopt;
  const std::string unit = size.substr(size.size() - 2);
  if (unit == "KB") return count;
  if (unit == "MB") return count * 1000;
  if (unit == "GB") return count * 1000000;
  return std::nullopt;
}

std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) out += i + k <= bytes.size() ? kDigits[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::string record(uint64_t id) {
  char bytes[1024];
  (void)!::getrandom(bytes, sizeof bytes, 0);
  const size_t size = 512 + static_cast<unsigned char>(bytes[0]) * 2;
  return "{\"id\":" + std::to_string(id) + ",\"data\":\"" + base64(std::string_view(bytes, size)) + "\"}";
}

bool send_json(Reply& reply, uint64_t count) {
  std::string body = "[";
  for (uint64_t id = 0; id < count; ++id) body += (id == 0 ? "" : ",") + record(id);
  return reply.whole(200, "application/json", body + "]");
}

bool send_lines(Reply& reply, uint64_t count) {
  if (!reply.begin(200, "application/x-ndjson")) return false;
  // Lines gather in a buffer, as Go's writer does without an explicit flush.
  std::string gathered;
  for (uint64_t id = 0; id < count; ++id) {
    gathered += record(id) + "\n";
    if (gathered.size() < 4096) continue;
    if (!reply.piece(gathered)) return false;
    gathered.clear();
  }
  return reply.piece(gathered) && reply.end();
}

bool payload(Reply& reply, const Request& request, int* status) {
  *status = 500;
  const std::string latency = query_value(request, "latency");
  uint64_t seconds = 0;
  if (!latency.empty() && !number(latency, 10, &seconds))
    return reply.whole(500, kText, "unable to parse latency " + latency + "\n");
  std::this_thread::sleep_for(std::chrono::seconds(std::min<uint64_t>(seconds, 3600)));
  const std::string format = query_value(request, "format"), size = query_value(request, "size");
  const auto count = record_count(size);
  if (format != "json" && format != "ndjson")
    return reply.whole(500, kText, "unsupported format " + format + "\n");
  if (!count) return reply.whole(500, kText, "unsupported size " + size + "\n");
  *status = 200;
  return format == "json" ? send_json(reply, *count) : send_lines(reply, *count);
}

void log_line(const std::string& peer, const Request& request, int status) {
  const time_t now = std::time(nullptr);
  tm utc{};
  ::gmtime_r(&now, &utc);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y/%m/%d %H:%M:%S", &utc);
  const std::string line = std::string(stamp) + " " + peer + " " + request.method + " " + request.target +
                           " " + request.version + " " + std::to_string(status) + "\n";
  (void)!::write(STDERR_FILENO, line.data(), line.size());
}

// False: the connection ends.
bool serve_one(Connection& connection, const std::string& peer) {
  Request request;
  bool too_long = false;
  auto head = connection.until("\r\n\r\n", kMaxHead, &too_long);
  while (head && head->starts_with("\r\n")) head->erase(0, 2);  // stray line ends between requests
  if (!head && !too_long) return false;
  int status = too_long ? 431 : parse_head(*head, &request);
  if (status == 0) status = read_body(connection, &request);
  if (status < 0) return false;
  if (status != 0) {
    (void)connection.send("HTTP/1.1 " + std::to_string(status) + " " + reason(status) +
                          "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
                          std::to_string(status) + " " + reason(status));
    log_line(peer, request, status);
    connection.linger();
    return false;
  }
  Reply reply(connection, request);
  status = 200;
  bool sent = false;
  const std::string path = request.path();
  if (path == "/payload" || path == "/httpgo/payload")
    sent = payload(reply, request, &status);
  else
    sent =
        reply.whole(200, kText, request.method == "GET" ? echo_text(request, peer) : request_dump(request));
  log_line(peer, request, status);
  return sent && !reply.closes();
}

std::string peer_text(int fd) {
  sockaddr_in6 address{};
  socklen_t length = sizeof address;
  ::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length);
  char text[INET6_ADDRSTRLEN] = "";
  const std::string port = std::to_string(ntohs(address.sin6_port));
  if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {
    ::inet_ntop(AF_INET, &address.sin6_addr.s6_addr[12], text, sizeof text);
    return std::string(text) + ":" + port;
  }
  ::inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof text);
  return "[" + std::string(text) + "]:" + port;
}

void* serve_connection(void* argument) {
  {
    Connection connection(static_cast<int>(reinterpret_cast<intptr_t>(argument)));
    const int on = 1;
    ::setsockopt(connection.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const std::string peer = peer_text(connection.fd());
    while (serve_one(connection, peer)) {
    }
  }
  --open_connections;
  return nullptr;
}

int listen_on(uint16_t port) {
  const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1, off = 0;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd, 4096) != 0) {
    std::perror("httpgo: listen");
    std::exit(1);
  }
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  uint16_t port = 8888;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "-version" || word == "--version") {
      std::puts("httpgo (weft) git=a8d5d82 c++");
      return 0;
    }
    if ((word == "-port" || word == "--port") && i + 1 < argc) {
      port = static_cast<uint16_t>(std::atoi(argv[++i]));
      continue;
    }
    std::fprintf(stderr, "usage: httpgo [-port N] [-version]\n");
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  const int listener = listen_on(port);
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  ::pthread_attr_setstacksize(&attributes, kStack);
  while (true) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) {
      // Out of descriptors or memory: others end first.
      if (errno != EINTR && errno != ECONNABORTED) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    pthread_t thread{};
    if (++open_connections <= kMaxConnections &&
        ::pthread_create(&thread, &attributes, serve_connection,
                         reinterpret_cast<void*>(static_cast<intptr_t>(fd))) == 0)
      continue;
    --open_connections;
    ::close(fd);
  }
}
