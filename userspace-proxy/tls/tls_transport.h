#pragma once
// TLS over another Transport, as a Transport.
#include <memory>
#include <string>

#include "userspace-proxy/base/transport.h"
#include "userspace-proxy/tls/blocks.h"
#include "userspace-proxy/tls/connection.h"
#include "userspace-proxy/tls/openssl.h"

namespace weft::tls {

class Contexts;

// Made by Handshake, which drives it until it is established; then it carries bytes.
// write() takes up to one block (64 KiB) of plain text a call, puts it into as few records as it can, and writes them
// out with one call of the inner transport; what that does not take is held, and the next write() would block.
// read() decrypts whole records until the span is full or the inner transport is empty. The end is kEnd only after
// the peer's close_notify; an end without one is kError ECONNRESET, a fatal alert ECONNABORTED, anything that breaks
// the protocol EPROTO. shutdown_write() sends close_notify and then the inner end. What was written is still
// delivered, for at most kLinger, when the transport dies without reset().
// Owner: whoever holds the connection; retire it like any transport, never free it inside one of its callbacks.
// Thread: the worker's.
class TlsTransport final : public base::Transport, private base::TransportHandler, private base::IoHandler {
 public:
  static constexpr base::Nanos kLinger = base::Millis(5000);

  ~TlsTransport() override;
  base::Status attach(base::Loop& loop, base::TransportHandler* handler) override;
  base::Io read(std::span<char> into) override;
  base::Io write(std::span<const iovec> from) override;
  void shutdown_write() override;
  void reset() override;

  // Why the last kError came, in words; empty when there was none.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  // The transport below: for its socket options only.
  [[nodiscard]] base::Transport* inner() { return inner_.get(); }

 private:
  friend class Handshake;
  friend struct TransportBio;  // the BIO that OpenSSL reads and writes
  struct FreeSsl {
    void operator()(SSL* ssl) const;
  };
  enum class Drive : uint8_t { kDone, kWait, kFailed };

  TlsTransport(Contexts& contexts, std::unique_ptr<base::Transport> inner, std::unique_ptr<Connection> connection);
  // Ties the parts together; false when memory is short.
  bool begin(SSL_CTX* context);
  Drive handshake();
  void on_readable() override;
  void on_writable() override;
  void on_io(uint32_t events) override;

  // What SSL_get_error() said about a call that did not succeed.
  enum class Stop : uint8_t { kAgain, kWait, kEnd, kBroken };
  Stop why_stopped(int result);
  bool make_room();
  base::Io broken(int sys_errno, std::string why);
  void note_failure();
  bool flush();
  bool encrypt(std::span<const iovec> from, size_t& taken);
  bool encrypt_piece(const char* data, size_t size);
  int bio_read(char* into, size_t size);
  int bio_write(const char* from, size_t size);

  Contexts& contexts_;
  std::unique_ptr<base::Transport> inner_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  base::Loop* loop_ = nullptr;
  base::TransportHandler* handler_ = nullptr;
  Block in_;   // cipher text read and not yet decrypted
  Block out_;  // cipher text that the inner transport has not taken
  std::string failure_;
  int failure_reason_ = 0;   // OpenSSL's reason code of the first failure
  int read_errno_ = 0;       // every read fails with it from now on
  int write_errno_ = 0;      // every write does
  int inner_errno_ = 0;      // of the inner transport's read side
  uint32_t records_written_ = 0;  // with the present key
  uint16_t messages_without_data_ = 0;
  bool established_ = false;
  bool inner_ended_ = false;
  bool inner_dry_ = false;         // the last inner read would block
  bool end_wanted_ = false;        // shutdown_write() was called: the inner end follows the last byte of out_
  bool inner_shut_ = false;        // and has been sent
  bool read_wants_write_ = false;  // read() cannot go on before out_ is flushed
};

}  // namespace weft::tls
