#pragma once
// One CONNECT stream: first its head, then a Transport like any other.
#include <memory>
#include <string>
#include <string_view>

#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/base/transport.h"
#include "userspace-proxy/hbone/engine.h"

namespace weft::hbone {

class Session;
class Stream;

// Instead of an HTTP/2 error code: the whole tunnel is gone.
inline constexpr uint32_t kTunnelLost = 0xffffffff;

// A head as it came in; only what HBONE reads is kept. Repeated baggage lines are joined with ','.
struct Head {
  std::string method, authority, baggage, forwarded, traceparent;
  uint16_t status = 0;
  size_t bytes = 0;        // of all fields, as SETTINGS_MAX_HEADER_LIST_SIZE counts
  bool too_large = false;
};

// Told about a stream before it carries data. Never called from inside a call of Session or Stream.
class StreamOwner {
 public:
  virtual ~StreamOwner() = default;
  // Client: the final answer's head has come.
  virtual void on_head(Stream& stream) = 0;
  // It was reset, or the tunnel is gone, before begin_data(). `error_code` is HTTP/2's; the stream may be
  // destroyed in here.
  virtual void on_gone(Stream& stream, uint32_t error_code) = 0;
};

// Owned by whoever carries the connection; may outlive its session, and then fails every call. Destroying it
// before both directions have ended resets it (CONNECT_ERROR): the peer must not take what it has for all there was.
//
//   head:  kHead --(200 received or sent)--> data
//   data, each direction for itself:  open --> ended;   both: --> reset (RST_STREAM, tunnel lost, own reset())
//
// hbone.md 10: FIN is END_STREAM, RST is RST_STREAM(CONNECT_ERROR); a lost tunnel is ECONNRESET on every stream;
// RST_STREAM(NO_ERROR) behind END_STREAM only means that the peer wants no more.
class Stream final : public base::Transport, private base::IoHandler {
 public:
  ~Stream() override;

  // Transport. A handler that is attached is called once in the next turn, as epoll would.
  base::Status attach(base::Loop& loop, base::TransportHandler* handler) override;
  base::Io read(std::span<char> into) override;
  size_t lend(std::span<iovec> pieces) override;  // of the block under work
  void consume(size_t bytes) override;
  base::Io write(std::span<const iovec> from) override;
  void shutdown_write() override;
  void reset() override;
  [[nodiscard]] bool ends_soon() const override;  // its tunnel drains, or is gone

  [[nodiscard]] int32_t id() const { return id_; }
  [[nodiscard]] const Head& head() const { return *head_; }
  [[nodiscard]] bool broken() const { return step_ == Step::kReset || session_ == nullptr; }
  void set_owner(StreamOwner* owner) { owner_ = owner; }
  // Client, in on_head(): the answer was 200.
  void begin_data();
  // Server: 200, and data may flow. `baggage` may be empty.
  void accept(std::string_view baggage);
  // Server: a head with END_STREAM and nothing else. REQUIRES: not accepted.
  void refuse(uint16_t status);

 private:
  friend class Session;
  friend struct Callbacks;
  enum class Step : uint8_t { kHead, kRefused, kData, kReset };
  // What has happened since the session last told anybody.
  enum Event : uint8_t { kHeadDone = 1, kReadable = 2, kWritable = 4, kGone = 8 };

  Stream(Engine& engine, Session& session, int32_t id);
  void on_io(uint32_t events) override;  // the first edge after attach()

  // From the session.
  void add_field(std::string_view name, std::string_view value, size_t limit);
  void add_data(std::string_view bytes);
  void on_closed(uint32_t error_code);  // nghttp2 has forgotten the stream
  void on_tunnel_lost();
  [[nodiscard]] ssize_t produce(size_t room, uint32_t* flags);
  void copy_out(char* to, size_t size);
  // What the reader left of the block under work moves into memory of our own.
  void stash();
  void stash_complete();
  void tell_reset();

  // Knows whether the stream has died in between.
  struct Watch {
    explicit Watch(Stream& its_stream) : stream(its_stream), outer(its_stream.dead_) { stream.dead_ = &dead; }
    ~Watch() {
      if (!dead) stream.dead_ = outer;
      if (dead && outer != nullptr) *outer = true;
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    Stream& stream;
    bool* outer;
    bool dead = false;
  };

  void drop_input();
  void give_credit(size_t bytes);
  void abort(uint32_t error_code);
  [[nodiscard]] size_t take_fresh(std::span<char> into);

  Engine& engine_;
  Session* session_;
  StreamOwner* owner_ = nullptr;
  base::TransportHandler* handler_ = nullptr;
  std::unique_ptr<Head> head_;  // until data flows
  h2::Chain held_;              // came in, not yet read
  const iovec* pending_ = nullptr;  // inside write() only: what is left of it
  size_t pending_offset_ = 0, pending_left_ = 0;
  size_t discarded_ = 0;  // written after the peer wanted no more
  size_t place_ = 0;      // in the session's list
  int32_t id_;
  uint32_t fresh_first_ = 0, fresh_last_ = 0;  // in Engine::fresh, 1-based; 0 is none
  uint32_t error_code_ = 0;
  bool* dead_ = nullptr;  // set when it dies
  Step step_ = Step::kHead;
  uint8_t events_ = 0;
  bool head_done_ = false;
  bool in_ended_ = false;       // END_STREAM came
  bool in_end_taken_ = false;   // and the reader has seen it
  bool out_ended_ = false;      // shutdown_write()
  bool unwanted_ = false;       // RST_STREAM(NO_ERROR) behind END_STREAM
  bool closed_ = false;         // nghttp2 has forgotten it
  bool deferred_ = false;       // nghttp2 waits for resume_data()
  bool blocked_ = false;        // write() took less than it was given
  bool waits_ = false;          // in the session's queue of writers
  bool edge_due_ = false;       // on_io() will come
};

}  // namespace weft::hbone
