#pragma once
// One HTTP/2 connection that carries CONNECT streams, either end. The one door to nghttp2 in this room.
#include <nghttp2/nghttp2.h>

#include <memory>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/timer.h"
#include "userspace-proxy/h2/flood_guard.h"
#include "userspace-proxy/hbone/stream.h"

namespace weft::hbone {

enum class Role : uint8_t { kClient, kServer };

// Why a session is over.
enum class SessionEnd : uint8_t {
  kFinished,      // both sides were done with it
  kLost,          // the peer or the network broke it off
  kRefused,       // a TLS alert before the peer's SETTINGS: in TLS 1.3 a server judges the client's certificate late
  kPingTimeout,   // no PONG
  kBeginTimeout,  // no SETTINGS
  kProtocol,      // the peer breaks HTTP/2
  kFlood,
  kAborted,       // abort()
};
[[nodiscard]] std::string_view name_of(SessionEnd end);

// None of these is called from inside start(), open(), drain(), abort() or a call of Stream.
class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  virtual void on_ready(Session& session) = 0;  // the peer's SETTINGS have come
  // Server: a request's head is complete. To be answered by accept() or refuse(), now or later.
  virtual void on_request(Session& session, std::unique_ptr<Stream> stream) = 0;
  virtual void on_room(Session& session) = 0;        // client: a stream is over, or the peer admits more
  virtual void on_going_away(Session& session) = 0;  // client: takes no stream any more
  // Once. Streams have been told. Retire the session, do not free it.
  virtual void on_session_over(Session& session, SessionEnd end) = 0;
};

// Input is fed from the worker's read block and handed to the streams' readers before the next read; what they do
// not take is copied, and the peer's window opens no further until they do. Output is gathered and leaves in large
// writes: when a block is full, and at the end of the turn. PING every 10 s. Owned by its SessionOwner's side,
// in the worker's thread.
//
//   kBegin --(SETTINGS)--> kOpen --(GOAWAY, age, idle, drain())--> kDraining --(last stream)--> kOver
//      \____________________\_________________________________________\___ lost, cut, abort() ___^
class Session final : public base::Retirable,
                      private base::TransportHandler,
                      private base::TurnEndHandler,
                      private base::IoHandler {
 public:
  enum class Step : uint8_t { kBegin, kOpen, kDraining, kOver, kCount };
  struct Times {
    base::Nanos begin_within;
    base::Nanos max_age{0};  // from now on; zero: no bound
  };

  Session(Engine& engine, Role role, std::unique_ptr<base::Transport> transport, Times times, SessionOwner& owner);
  ~Session() override;

  // What waits for slow readers is charged to this peer. Before start().
  void charge_to(const base::Address& peer) { account_ = &engine_.held_of(peer); }
  void start();

  struct Request {
    std::string_view authority, baggage, forwarded, traceparent;
  };
  // Client. Null when it takes no stream: room() was false.
  [[nodiscard]] std::unique_ptr<Stream> open(const Request& request, StreamOwner& owner);
  // Streams that may be opened now.
  [[nodiscard]] size_t room() const;
  [[nodiscard]] size_t streams() const { return open_; }
  // The socket takes nothing at present.
  [[nodiscard]] bool backlogged() const { return blocked_; }
  [[nodiscard]] Step step() const { return step_; }
  [[nodiscard]] bool ready() const { return step_ == Step::kOpen; }

  void drain();
  void abort();
  // The owner goes first: tells nobody anything any more, streams fail. Retire it then.
  void leave();

 private:
  friend class Stream;
  friend struct Callbacks;

  // Input.
  void on_readable() override;
  void on_io(uint32_t events) override;  // yielded with input left, or asked for a flush outside of a turn
  void read_all();
  [[nodiscard]] bool feed(std::string_view bytes);
  [[nodiscard]] SessionEnd end_of(const base::Io& io) const;  // of a read that found no more to come
  // Tells owner and handlers what has happened. Nobody is called from inside nghttp2.
  void settle();
  void dispatch(Stream& stream, uint8_t events);
  void dispatch_head(Stream& stream, uint8_t events);
  void mark(Stream& stream, uint8_t event);

  // Output.
  void on_writable() override;
  void on_turn_end() override;
  void write_later();  // at the end of this turn
  void flush_soon();   // in the next turn, which does not wait: good from a destructor too
  void send(Stream& stream);
  void queue_writer(Stream& stream);
  void serve_writers();
  void pump_frames();
  [[nodiscard]] bool flush();
  [[nodiscard]] char* out_room(size_t size);
  [[nodiscard]] size_t out_size() const { return out_ ? out_end_ - out_begin_ : 0; }
  void run_output();

  // Life.
  void enter(Step step);
  void submit_settings();
  [[nodiscard]] bool charge(const nghttp2_frame& frame);
  void on_peer_settings();
  void on_peer_goaway();
  void on_goaway_sent(uint32_t error_code);
  void on_pong(const uint8_t* data);
  void on_ping_timer();
  void on_life_timer();
  void begin_drain();
  void name_last_stream();
  void finish_if_done();
  void end(SessionEnd why);
  // It must end, and will in this turn or the next.
  [[nodiscard]] bool cut() const { return broken_ != SessionEnd::kFinished; }

  // Streams.
  void begin_request(int32_t id);
  void adopt(Stream& stream);
  void remove(Stream& stream);
  void stream_forgotten();  // by nghttp2
  void resume(Stream& stream);
  void give_credit(int32_t id, size_t bytes);
  [[nodiscard]] size_t head_limit() const;
  [[nodiscard]] Stream* stream_of(int32_t id) const {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session_.get(), id));
  }

  struct Delete {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };
  Engine& engine_;
  const Role role_;
  SessionOwner& owner_;
  uint32_t* account_ = &engine_.accounts[0];  // in the engine
  std::unique_ptr<base::Transport> transport_;
  std::unique_ptr<nghttp2_session, Delete> session_;
  base::Timer ping_timer_, life_timer_;
  Times times_;
  base::Instant idle_since_;
  h2::Bucket control_, rapid_resets_;

  std::vector<Stream*> streams_;                    // every Stream that lives
  std::vector<std::unique_ptr<Stream>> newborn_;    // server: head not complete
  std::vector<Stream*> touched_;                    // have events

  std::vector<Stream*> writers_;                    // may write again; the one served last is at the back

  std::unique_ptr<OutBlock> out_;  // null when empty
  size_t out_begin_ = 0, out_end_ = 0;
  size_t open_ = 0;                // streams nghttp2 knows
  Step step_ = Step::kBegin;
  SessionEnd broken_ = SessionEnd::kFinished;  // why it must end; kFinished: it need not
  bool ready_news_ = false, room_news_ = false, away_news_ = false;
  bool pong_due_ = false;
  bool last_named_ = false;    // server: the GOAWAY that names the last stream has been queued
  bool terminated_ = false;    // ... and the one that ends all
  bool blocked_ = false;       // the transport takes nothing
  bool write_asked_ = false, again_asked_ = false, read_left_ = false;
  bool settling_ = false;
};

}  // namespace weft::hbone
