#pragma once
// Inside of hbone/: the tunnels of one key, and the handshake that makes another.
#include <list>
#include <optional>

#include "userspace-proxy/base/timer.h"
#include "userspace-proxy/hbone/dialer.h"

namespace weft::hbone {

//   kDialling (TCP) --> kSecuring (TLS) --> kSettings (HTTP/2) --> kDone
//        \__________________\___________________\__ failed _______^
class TunnelDialer::Opening final : public base::Retirable,
                                    private connect::DialHandler,
                                    private SecureHandler {
 public:
  enum class Step : uint8_t { kDialling, kSecuring, kSettings, kDone };

  explicit Opening(Entry& entry);
  void begin();
  // The session has begun or ended; what comes of it is the entry's now.
  [[nodiscard]] bool owns(const Session& session) const { return session_.get() == &session; }
  [[nodiscard]] std::unique_ptr<Session> take() { return std::move(session_); }
  [[nodiscard]] std::shared_ptr<const tls::PeerProof> proof() const { return proof_; }
  // Nothing is told any more.
  void stop();

 private:
  void on_dialled(base::Result<std::unique_ptr<base::Transport>> outcome) override;
  void on_secured(base::Result<Secured> outcome) override;
  void on_time_up();
  void fail(base::Error error);

  Entry& entry_;
  base::Timer timer_;
  std::unique_ptr<connect::Dial> dial_;
  std::unique_ptr<Securing> securing_;
  std::unique_ptr<Session> session_;
  std::shared_ptr<const tls::PeerProof> proof_;
  base::Instant deadline_{};
  Step step_ = Step::kDialling;
};

// Owned by the dialer while anybody or anything of the key is left.
class TunnelDialer::Entry final : public base::Retirable, private SessionOwner, private base::IoHandler {
 public:
  struct Tunnel {
    std::unique_ptr<Session> session;
    std::shared_ptr<const tls::PeerProof> proof;
  };

  Entry(TunnelDialer& dialer, std::string key, const TunnelTarget& target);
  ~Entry() override;

  void add(Pending& pending);    // it waits
  void pending_gone();
  void serve();                  // gives tunnels to those who wait, opens one more where that is due
  void let_go();                 // tunnels take no stream any more; dials and handshakes fail
  void restart_opening();
  void opening_failed(const base::Error& error);
  [[nodiscard]] SessionOwner& session_owner() { return *this; }

  TunnelDialer& dialer;  // gone before an entry that was forgotten
  Engine& engine;
  const std::string key, pod;
  const model::SpiffeId source;
  const base::SocketAddress destination;
  const std::vector<model::SpiffeId> accepted;
  std::vector<Tunnel> tunnels;
  size_t pendings = 0;  // that live

 private:
  void on_ready(Session& session) override;
  void on_request(Session&, std::unique_ptr<Stream>) override {}
  void on_room(Session&) override { serve(); }
  void on_going_away(Session&) override { serve(); }
  void on_session_over(Session& session, SessionEnd end) override;
  void on_io(uint32_t events) override;  // an opening that could not even begin
  [[nodiscard]] base::Error unopened(SessionEnd end) const;
  [[nodiscard]] Session* best() const;
  [[nodiscard]] bool wants_more(const Session* best) const;
  void open();
  void drop_opening();
  void fail_all(std::list<Pending*>& list, const base::Error& error);
  void forget_if_unused();

  std::list<Pending*> waiting_;
  std::list<Pending*> turned_away_;  // too many wait already; told in the next turn
  std::unique_ptr<Opening> opening_;
  std::optional<base::Error> failure_;  // to be told in the next turn
  base::Instant next_company_{};        // not before then, when a second tunnel could not be had
  bool forgotten_ = false;
};

}  // namespace weft::hbone
