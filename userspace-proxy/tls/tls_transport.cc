#include "userspace-proxy/tls/tls_transport.h"

#include <openssl/err.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "userspace-proxy/tls/contexts.h"
#include "userspace-proxy/tls/linger.h"

namespace weft::tls {

using base::Io;

namespace {

// Handshake messages after the handshake (tickets, key updates) and empty records in a row, without a byte of data.
constexpr uint16_t kMostMessagesWithoutData = 64;
// A key seals at most 2^24.5 full records (RFC 8446 5.5); ours is changed long before.
constexpr uint32_t kMostRecordsPerKey = 1u << 22;

}  // namespace

// OpenSSL's view of the two blocks of a transport.
struct TransportBio {
  static TlsTransport& transport(BIO* bio) { return *static_cast<TlsTransport*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* into, int size) {
    BIO_clear_retry_flags(bio);
    const int got = transport(bio).bio_read(into, static_cast<size_t>(size));
    if (got < 0 && transport(bio).inner_dry_) BIO_set_retry_read(bio);
    return got;
  }
  static int write(BIO* bio, const char* from, int size) {
    BIO_clear_retry_flags(bio);
    const int taken = transport(bio).bio_write(from, static_cast<size_t>(size));
    if (taken < 0) BIO_set_retry_write(bio);
    return taken;
  }
  static long ctrl(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return transport(bio).inner_ended_ ? 1 : 0;
    return 0;
  }
  static const BIO_METHOD* method() {
    static const Owned<BIO_METHOD> made = [] {
      Owned<BIO_METHOD> method(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weft transport"));
      BIO_meth_set_read(method.get(), read);
      BIO_meth_set_write(method.get(), write);
      BIO_meth_set_ctrl(method.get(), ctrl);
      return method;
    }();
    return made.get();
  }
};

void TlsTransport::FreeSsl::operator()(SSL* ssl) const {
  // Without this OpenSSL takes the session for broken and never resumes it (dependencies.md 5.1). Where it is broken,
  // the alert has already said so.
  SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(ssl);
}

TlsTransport::TlsTransport(Contexts& contexts, std::unique_ptr<base::Transport> inner,
                           std::unique_ptr<Connection> connection)
    : contexts_(contexts), inner_(std::move(inner)), connection_(std::move(connection)) {}

TlsTransport::~TlsTransport() {
  if (loop_ != nullptr) loop_->forget(this);
  ssl_.reset();
  in_.drop(contexts_.blocks());
  if (!out_.empty() && inner_ && loop_ != nullptr && write_errno_ == 0)
    contexts_.lingerers().take(*loop_, std::move(inner_), std::move(out_), end_wanted_, kLinger);
  out_.drop(contexts_.blocks());
}

bool TlsTransport::begin(SSL_CTX* context) {
  ssl_.reset(SSL_new(context));
  BIO* bio = BIO_new(TransportBio::method());
  if (!ssl_ || bio == nullptr) {
    BIO_free(bio);
    return false;
  }
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_app_data(ssl_.get(), connection_.get());
  return true;
}

base::Status TlsTransport::attach(base::Loop& loop, base::TransportHandler* handler) {
  handler_ = handler;
  if (loop_ == nullptr) {
    loop_ = &loop;
    return inner_->attach(loop, this);
  }
  // The inner edges may be long gone, and their bytes wait in in_.
  loop_->forget(this);
  loop_->again(this);
  return {};
}

void TlsTransport::on_io(uint32_t /*events*/) {
  on_writable();
  on_readable();
}

void TlsTransport::on_readable() {
  if (handler_ != nullptr) handler_->on_readable();
}

void TlsTransport::on_writable() {
  if (!flush()) return;
  const bool read_too = std::exchange(read_wants_write_, false);
  if (handler_ != nullptr) handler_->on_writable();
  if (read_too && handler_ != nullptr) handler_->on_readable();
}

// --- bytes between OpenSSL and the inner transport

int TlsTransport::bio_read(char* into, size_t size) {
  if (in_.empty()) {
    const Io io = inner_->read(in_.writable(contexts_.blocks()));
    inner_dry_ = io.kind == Io::Kind::kWouldBlock;
    if (io.kind == Io::Kind::kEnd) inner_ended_ = true;
    if (io.kind == Io::Kind::kError) inner_errno_ = io.sys_errno;
    if (io.kind == Io::Kind::kEnd) return 0;
    if (io.kind != Io::Kind::kBytes) return -1;
    in_.commit(io.bytes);
  }
  const size_t got = std::min(size, in_.view().size());
  std::memcpy(into, in_.view().data(), got);
  in_.consume(got);
  return static_cast<int>(got);
}

int TlsTransport::bio_write(const char* from, size_t size) {
  const auto room = out_.writable(contexts_.blocks());
  const size_t taken = std::min(size, room.size());
  if (taken == 0) return -1;
  std::memcpy(room.data(), from, taken);
  out_.commit(taken);
  return static_cast<int>(taken);
}

// True when nothing waits any more (or never will be taken).
bool TlsTransport::flush() {
  if (inner_shut_) out_.drop(contexts_.blocks());  // an answer to what came after our end
  while (!out_.empty() && write_errno_ == 0) {
    const iovec piece{const_cast<char*>(out_.view().data()), out_.view().size()};
    const Io io = inner_->write({&piece, 1});
    if (io.kind == Io::Kind::kWouldBlock) return false;
    if (io.kind == Io::Kind::kBytes) {
      out_.consume(io.bytes);
      continue;
    }
    write_errno_ = io.kind == Io::Kind::kError ? io.sys_errno : EPIPE;
  }
  if (write_errno_ != 0) {
    out_.drop(contexts_.blocks());
    return true;
  }
  out_.release_if_empty(contexts_.blocks());
  if (end_wanted_ && !std::exchange(inner_shut_, true)) inner_->shutdown_write();
  return true;
}

// --- handshake and reading

TlsTransport::Stop TlsTransport::why_stopped(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return inner_dry_ ? Stop::kWait : Stop::kAgain;
    case SSL_ERROR_WANT_WRITE:
      if (flush()) return write_errno_ == 0 ? Stop::kAgain : Stop::kBroken;
      read_wants_write_ = true;
      return Stop::kWait;
    case SSL_ERROR_ZERO_RETURN:
      return Stop::kEnd;
    default:
      return Stop::kBroken;
  }
}

TlsTransport::Drive TlsTransport::handshake() {
  const Library::AsDefault library(contexts_.library());
  for (int messages = 0; messages < kMostMessagesWithoutData; ++messages) {
    ERR_clear_error();
    inner_dry_ = false;
    const int result = SSL_do_handshake(ssl_.get());
    const auto stop = result == 1 ? Stop::kEnd : why_stopped(result);
    if (result != 1 && stop == Stop::kBroken) note_failure();
    if (stop == Stop::kAgain) continue;
    flush();  // of a failure too: its alert
    in_.release_if_empty(contexts_.blocks());
    established_ = result == 1;
    if (established_) return Drive::kDone;
    return stop == Stop::kWait ? Drive::kWait : Drive::kFailed;
  }
  failure_ = "too many messages in a handshake";
  return Drive::kFailed;
}

// Says in errno's terms and in words why OpenSSL gave up. A failed read leaves the write side alone: what is still to
// be said may be said.
void TlsTransport::note_failure() {
  if (read_errno_ != 0) return;
  failure_reason_ = ERR_GET_REASON(ERR_peek_error());
  read_errno_ = EPROTO;
  if (inner_errno_ != 0) {
    read_errno_ = inner_errno_;
    failure_ = "the connection broke";
  } else if (inner_ended_) {
    read_errno_ = ECONNRESET;
    failure_ = "the connection ended without a TLS close_notify";
  } else if (failure_reason_ > SSL_AD_REASON_OFFSET) {
    read_errno_ = ECONNABORTED;
    failure_ = std::string("the peer refused: TLS alert ") +
               SSL_alert_desc_string_long(failure_reason_ - SSL_AD_REASON_OFFSET);
  } else {
    failure_ = openssl_complaint();
  }
  ERR_clear_error();
}

Io TlsTransport::broken(int sys_errno, std::string why) {
  if (read_errno_ == 0) {
    read_errno_ = sys_errno;
    failure_ = std::move(why);
  }
  return {Io::Kind::kError, 0, read_errno_};
}

Io TlsTransport::read(std::span<char> into) {
  CHECK(established_);
  if (read_errno_ != 0) return {Io::Kind::kError, 0, read_errno_};
  size_t got = 0;
  auto stop = Stop::kAgain;
  while (got < into.size() && stop == Stop::kAgain) {
    ERR_clear_error();
    inner_dry_ = false;
    size_t size = 0;
    const int result = SSL_read_ex(ssl_.get(), into.data() + got, into.size() - got, &size);
    got += size;
    if (result == 1) {
      messages_without_data_ = 0;
      continue;
    }
    stop = why_stopped(result);
    if (stop == Stop::kBroken) note_failure();
    if (stop == Stop::kAgain && ++messages_without_data_ > kMostMessagesWithoutData)
      return broken(EPROTO, "too many TLS messages without data");
  }
  if (!out_.empty()) flush();
  in_.release_if_empty(contexts_.blocks());
  if (got > 0) return {Io::Kind::kBytes, got, 0};
  if (stop == Stop::kEnd) return {Io::Kind::kEnd, 0, 0};
  if (stop == Stop::kBroken) return {Io::Kind::kError, 0, read_errno_};
  return {Io::Kind::kWouldBlock, 0, 0};
}

// --- writing

bool TlsTransport::encrypt_piece(const char* data, size_t size) {
  ERR_clear_error();
  if (++records_written_ >= kMostRecordsPerKey) {
    records_written_ = 0;
    if (SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1) return false;
  }
  size_t taken = 0;
  return SSL_write_ex(ssl_.get(), data, size, &taken) == 1 && taken == size;
}

// Full records wherever possible: pieces that are smaller are laid together first.
bool TlsTransport::encrypt(std::span<const iovec> from, size_t& taken) {
  std::array<char, kRecordPlain> staged;
  size_t staged_size = 0;
  for (const auto& piece : from) {
    const auto* data = static_cast<const char*>(piece.iov_base);
    size_t left = piece.iov_len;
    while (left > 0 && taken + staged_size < kBlockPlain) {
      const size_t budget = std::min(left, kBlockPlain - taken - staged_size);
      const bool last = &piece == &from.back();
      if (staged_size == 0 && (budget >= kRecordPlain || last)) {
        const size_t size = std::min(budget, kRecordPlain);
        if (!encrypt_piece(data, size)) return false;
        taken += size;
        data += size;
        left -= size;
        continue;
      }
      const size_t size = std::min(budget, kRecordPlain - staged_size);
      std::memcpy(staged.data() + staged_size, data, size);
      staged_size += size;
      data += size;
      left -= size;
      if (staged_size < kRecordPlain) continue;
      if (!encrypt_piece(staged.data(), staged_size)) return false;
      taken += std::exchange(staged_size, 0);
    }
  }
  if (staged_size == 0) return true;
  if (!encrypt_piece(staged.data(), staged_size)) return false;
  taken += staged_size;
  return true;
}

Io TlsTransport::write(std::span<const iovec> from) {
  CHECK(established_ && !end_wanted_);
  if (!flush()) return {Io::Kind::kWouldBlock, 0, 0};
  if (write_errno_ != 0) return {Io::Kind::kError, 0, write_errno_};
  size_t taken = 0;
  if (!encrypt(from, taken)) {
    write_errno_ = EPROTO;
    failure_ = openssl_complaint();
  }
  flush();
  if (write_errno_ != 0) return {Io::Kind::kError, 0, write_errno_};
  return {Io::Kind::kBytes, taken, 0};
}

void TlsTransport::shutdown_write() {
  if (!ssl_ || std::exchange(end_wanted_, true)) return;
  ERR_clear_error();
  if (established_ && write_errno_ == 0) SSL_shutdown(ssl_.get());
  flush();
}

void TlsTransport::reset() {
  if (loop_ != nullptr) loop_->forget(this);
  handler_ = nullptr;
  in_.drop(contexts_.blocks());
  out_.drop(contexts_.blocks());
  write_errno_ = read_errno_ = ECONNABORTED;
  inner_->reset();
}

}  // namespace weft::tls
