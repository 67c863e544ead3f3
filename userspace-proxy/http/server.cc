#include "userspace-proxy/http/server.h"

#include "userspace-proxy/http/h1_server.h"
#include "userspace-proxy/http/h2_server.h"

namespace weft::http {
namespace {

std::shared_ptr<const Plan> make_plan(std::shared_ptr<const identify::ConnInfo> info,
                                      std::shared_ptr<const route::Tables> tables) {
  auto peer = info->kind == listen::Kind::kGateway ? info->peer.address.to_string() : std::string();
  return std::make_shared<const Plan>(Plan{std::move(info), std::move(tables), std::move(peer)});
}

// The transport of an accepted connection and the session that speaks on it. Begins with HTTP/1; an HTTP/2
// preface as the first bytes changes that.
class Connection final : public ServerConnection, public ServerHost, private base::TransportHandler {
 public:
  Connection(Core& core, std::unique_ptr<base::Transport> transport, std::shared_ptr<const Plan> plan,
             ServerOwner& owner)
      : core_(core), transport_(std::move(transport)), plan_(std::move(plan)), owner_(owner) {
    session_ = std::make_unique<H1ServerSession>(core_, *this);
  }

  void start() override {
    Turn turn(core_);
    if (!transport_->attach(core_.loop, this)) session_->abort(observe::Flag::kLocalReset);
  }
  void reconfigure(std::shared_ptr<const identify::ConnInfo> info,
                   std::shared_ptr<const route::Tables> tables) override {
    plan_ = make_plan(std::move(info), std::move(tables));
  }
  void drain(base::Nanos patience) override {
    Turn turn(core_);
    draining_ = true;
    patience_ = patience;
    if (!over_) session_->drain(patience);
  }
  void abort() override {
    Turn turn(core_);
    if (over_) return;
    transport_->reset();
    session_->abort(observe::Flag::kLocalReset);
  }
  [[nodiscard]] const identify::ConnInfo& info() const override { return *plan_->info; }

  // ServerHost
  [[nodiscard]] base::Transport& transport() override { return *transport_; }
  [[nodiscard]] const std::shared_ptr<const Plan>& plan() const override { return plan_; }
  void session_over() override {
    over_ = true;
    owner_.on_server_closed(*this);
  }
  void switch_to_http2(std::string_view bytes) override {
    core_.loop.retire(std::move(session_));
    auto next = std::make_unique<H2ServerSession>(core_, *this);
    H2ServerSession& session = *next;
    session_ = std::move(next);
    session.start(bytes);
    if (draining_ && !over_) session.drain(patience_);
  }

 private:
  void on_readable() override {
    if (over_) return;
    Turn turn(core_);
    session_->work();
  }
  void on_writable() override {
    if (over_) return;
    Turn turn(core_);
    session_->on_writable();
  }

  Core& core_;
  std::unique_ptr<base::Transport> transport_;
  std::shared_ptr<const Plan> plan_;
  ServerOwner& owner_;
  std::unique_ptr<ServerSession> session_;
  bool over_ = false, draining_ = false;
  base::Nanos patience_{};  // of the drain
};

}  // namespace

std::unique_ptr<ServerConnection> ServerConnection::create(Engine& engine,
                                                           std::unique_ptr<base::Transport> transport,
                                                           std::shared_ptr<const identify::ConnInfo> info,
                                                           std::shared_ptr<const route::Tables> tables,
                                                           ServerOwner& owner) {
  auto plan = make_plan(std::move(info), std::move(tables));
  return std::make_unique<Connection>(engine.core(), std::move(transport), std::move(plan), owner);
}

}  // namespace weft::http
