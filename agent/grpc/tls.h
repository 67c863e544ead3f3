#pragma once
// TLS of the control plane: blocking with a deadline, on sockets that do not block. 1.2 and 1.3, since stock
// callers speak either; ALPN "h2" or nothing.
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "agent/grpc/openssl.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/result.h"

namespace weft::grpc {

using TlsContextPtr = std::shared_ptr<SSL_CTX>;

// kInvalid when chain and key do not fit together.
[[nodiscard]] base::Result<TlsContextPtr> server_context(std::string_view chain_pem, std::string_view key_pem);
// `roots_pem` empty: the system's anchors. Any certificate in it is an anchor, self-signed or not.
[[nodiscard]] base::Result<TlsContextPtr> client_context(std::string_view roots_pem);

// kTimeout after `deadline`.
[[nodiscard]] base::Status wait_for(int fd, short poll_events, base::Instant deadline);

// One TLS connection. The socket stays the owner's and outlives this; it must not block. Thread: one.
class TlsSocket {
 public:
  // Both return after the handshake with "h2" agreed. accept: kInvalid for what is no TLS or no HTTP/2.
  // connect: kUntrusted when the server's certificate is not below an anchor or not for `name`.
  static base::Result<TlsSocket> accept(int fd, TlsContextPtr context, base::Instant deadline);
  static base::Result<TlsSocket> connect(int fd, TlsContextPtr context, const std::string& name,
                                         base::Instant deadline);

  // At least one byte, or 0 at the end of the stream.
  [[nodiscard]] base::Result<size_t> read(std::span<char> into, base::Instant deadline);
  // All of it.
  [[nodiscard]] base::Status write(std::string_view bytes, base::Instant deadline);
  // Says good-bye; waits for nothing.
  void close();

 private:
  TlsSocket(int fd, TlsContextPtr context);
  base::Status handshake(base::Instant deadline);
  // Waits for what SSL_get_error() asks for. kClosed or kInvalid when it is not a matter of waiting.
  [[nodiscard]] base::Status wait(int rv, base::Instant deadline, const char* what);

  int fd_;
  TlsContextPtr context_;
  SslPtr ssl_;
};

}  // namespace weft::grpc
