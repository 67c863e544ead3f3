#include "agent/grpc/client.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <charconv>

#include "agent/grpc/endpoint.h"
#include "agent/grpc/frame.h"
#include "agent/grpc/h2.h"
#include "userspace-proxy/base/fd.h"

namespace weft::grpc {
namespace {

constexpr size_t kMaxHeaders = 64 * 1024;  // bytes of all header lists of a reply
constexpr size_t kMaxAddresses = 8;        // tried for one name

base::Result<base::Fd> connect_one(const addrinfo& address, base::Instant deadline) {
  base::Fd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return base::fail_errno("socket");
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) != 0 && errno != EINPROGRESS)
    return base::fail_errno("connect");
  TRY(wait_for(fd.get(), POLLOUT, deadline));
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return base::fail_errno(error, "connect");
  return fd;
}

// The first address of the name that answers.
base::Result<base::Fd> connect_to(const Endpoint& endpoint, base::Instant deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int rv = ::getaddrinfo(endpoint.host.c_str(), endpoint.port.c_str(), &hints, &list); rv != 0)
    return base::fail(base::ErrorKind::kNotFound, fmt::format("look up {}: {}", endpoint.host, ::gai_strerror(rv)));
  const std::unique_ptr<addrinfo, Freed<::freeaddrinfo>> owned(list);
  base::Error last{base::ErrorKind::kNotFound, base::Side::kDestination, 0, "no address"};
  size_t tried = 0;
  for (const addrinfo* each = list; each != nullptr && tried < kMaxAddresses; each = each->ai_next, ++tried) {
    auto fd = connect_one(*each, deadline);
    if (fd) return fd;
    last = std::move(fd).error();
  }
  last.what = fmt::format("{}:{}: {}", endpoint.host, endpoint.port, last.what);
  return std::unexpected(std::move(last));
}

// One call on one connection. Its steps run in run(); the callbacks of nghttp2 only collect.
class Exchange {
 public:
  explicit Exchange(const grpc::Call& call)
      : call_(call), request_(frame(call.message)), reader_(call.max_reply) {}

  base::Status run(TlsSocket& socket, const std::string& authority, base::Instant deadline);
  [[nodiscard]] Reply judge();

 private:
  struct Callbacks;
  base::Status submit(const std::string& authority, base::Instant deadline);
  [[nodiscard]] std::unexpected<CallError> refused(Code code, std::string what, bool from_peer = true) const;

  const grpc::Call& call_;
  SessionPtr session_;
  const std::string request_;
  size_t sent_ = 0;  // of request_
  FrameReader reader_;
  std::expected<void, Failure> body_;  // what became of the reply's bytes
  Metadata fields_;                    // headers and trailers of the reply
  size_t header_bytes_ = 0;
  int32_t stream_ = 0;
  uint32_t reset_ = NGHTTP2_NO_ERROR;
  bool closed_ = false;
};

struct Exchange::Callbacks {
  static Exchange& self(void* user) { return *static_cast<Exchange*>(user); }

  static int header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void* user) {
    Exchange& me = self(user);
    if (frame->hd.stream_id != me.stream_) return 0;
    me.header_bytes_ += name_size + value_size + 32;
    if (me.header_bytes_ > kMaxHeaders) return NGHTTP2_ERR_CALLBACK_FAILURE;
    me.fields_.emplace_back(view_of(name, name_size), view_of(value, value_size));
    return 0;
  }
  static int data(nghttp2_session*, uint8_t, int32_t stream, const uint8_t* bytes, size_t size, void* user) {
    Exchange& me = self(user);
    if (stream != me.stream_ || !me.body_) return 0;
    me.body_ = me.reader_.append(view_of(bytes, size));
    // Whatever else it sends is not wanted.
    return me.body_ ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  static int close(nghttp2_session*, int32_t stream, uint32_t error, void* user) {
    Exchange& me = self(user);
    if (stream != me.stream_) return 0;
    me.closed_ = true;
    me.reset_ = error;
    return 0;
  }
  static ssize_t body(nghttp2_session*, int32_t, uint8_t* into, size_t room, uint32_t* flags,
                      nghttp2_data_source*, void* user) {
    Exchange& me = self(user);
    const size_t size = me.request_.copy(reinterpret_cast<char*>(into), room, me.sent_);
    me.sent_ += size;
    if (me.sent_ == me.request_.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }
  static nghttp2_session_callbacks* make() {
    nghttp2_session_callbacks* list = nullptr;
    CHECK(nghttp2_session_callbacks_new(&list) == 0);
    nghttp2_session_callbacks_set_on_header_callback(list, header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(list, data);
    nghttp2_session_callbacks_set_on_stream_close_callback(list, close);
    return list;
  }
};

base::Status Exchange::submit(const std::string& authority, base::Instant deadline) {
  static nghttp2_session_callbacks* const kCallbacks = Callbacks::make();
  const size_t window = std::max<size_t>(65'535, call_.max_reply + kFramePrefix);
  session_ = make_session({.header_list = kMaxHeaders, .stream_window = window}, kCallbacks, this);
  const auto left = std::chrono::duration_cast<base::Millis>(deadline - std::chrono::steady_clock::now());
  const std::string timeout = fmt::format("{}m", std::max<int64_t>(left.count(), 1));
  HeaderList list;
  list.add(":method", "POST");
  list.add(":scheme", "https");
  list.add(":path", call_.path);
  list.add(":authority", authority);
  list.add("te", "trailers");
  list.add("content-type", "application/grpc");
  list.add("user-agent", "weft");
  if (timeout.size() <= 9) list.add("grpc-timeout", timeout);  // at most 8 digits
  for (const auto& [name, value] : call_.headers) list.add(name, value);
  const nghttp2_data_provider provider{.source = {.ptr = nullptr}, .read_callback = Callbacks::body};
  stream_ = nghttp2_submit_request(session_.get(), nullptr, list.data(), list.size(), &provider, nullptr);
  if (stream_ > 0) return {};
  return base::fail(base::ErrorKind::kInvalid, fmt::format("HTTP/2 request: {}", nghttp2_strerror(stream_)));
}

base::Status Exchange::run(TlsSocket& socket, const std::string& authority, base::Instant deadline) {
  TRY(submit(authority, deadline));
  std::array<char, 16 * 1024> block;
  while (!closed_) {
    TRY(flush(*session_, socket, deadline));
    if (closed_) break;
    TRY_ASSIGN(const size_t size, socket.read(block, deadline));
    if (size == 0) return base::fail(base::ErrorKind::kClosed, "the server closed the connection before its answer");
    const ssize_t rv = nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const uint8_t*>(block.data()), size);
    if (!body_) return {};
    if (rv < 0)
      return base::fail(base::ErrorKind::kInvalid, fmt::format("HTTP/2: {}", nghttp2_strerror(static_cast<int>(rv))));
  }
  (void)nghttp2_session_terminate_session(session_.get(), NGHTTP2_NO_ERROR);
  (void)flush(*session_, socket, std::min(deadline, base::Instant(std::chrono::steady_clock::now() + base::Millis(100))));
  socket.close();
  return {};
}

std::unexpected<CallError> Exchange::refused(Code code, std::string what, bool from_peer) const {
  base::Error error{kind_of(code), base::Side::kDestination, 0, fmt::format("{}: {}: {}", call_.path, name_of(code), what)};
  return std::unexpected(CallError{std::move(error), code, from_peer});
}

Reply Exchange::judge() {
  if (!body_) return refused(body_.error().code, body_.error().message, false);
  const std::string_view status = find(fields_, "grpc-status");
  if (!status.empty() && parse_code(status) != Code::kOk)
    return refused(parse_code(status), percent_decode(find(fields_, "grpc-message")));
  int http = 0;
  const std::string_view text = find(fields_, ":status");
  std::from_chars(text.data(), text.data() + text.size(), http);
  if (http != 0 && http != 200) return refused(code_of_http(http), fmt::format("HTTP status {}", http));
  if (status.empty() && reset_ != NGHTTP2_NO_ERROR)
    return refused(Code::kUnavailable, fmt::format("the stream was reset ({})", nghttp2_http2_strerror(reset_)));
  if (status.empty()) return refused(Code::kUnknown, "an answer without grpc-status");
  auto message = reader_.finish();
  if (!message) return refused(message.error().code, message.error().message, false);
  return std::move(*message);
}

CallError as_call_error(base::Error error) {
  const Code code = error.kind == base::ErrorKind::kTimeout   ? Code::kDeadlineExceeded
                    : error.kind == base::ErrorKind::kInvalid ? Code::kInternal
                                                              : Code::kUnavailable;
  error.side = base::Side::kDestination;
  return CallError{std::move(error), code, false};
}

base::Status exchange_with(const Target& target, Exchange& exchange, base::Instant deadline) {
  TRY_ASSIGN(const Endpoint endpoint, split_endpoint(target.endpoint));
  TRY_ASSIGN(auto context, client_context(target.roots_pem));
  TRY_ASSIGN(const base::Fd fd, connect_to(endpoint, deadline));
  const std::string& name = target.server_name.empty() ? endpoint.host : target.server_name;
  TRY_ASSIGN(TlsSocket socket, TlsSocket::connect(fd.get(), std::move(context), name, deadline));
  return exchange.run(socket, target.endpoint, deadline);
}

}  // namespace

Reply call(const Target& target, const Call& call) {
  const base::Instant deadline = std::chrono::steady_clock::now() + call.deadline;
  Exchange exchange(call);
  if (auto done = exchange_with(target, exchange, deadline); !done)
    return std::unexpected(as_call_error(std::move(done).error()));
  return exchange.judge();
}

}  // namespace weft::grpc
