#pragma once
// Inside of worker/: one dial to a destination that has to prove who it is.
#include <memory>
#include <string>

#include "userspace-proxy/worker/tunnels.h"

namespace weft::worker {

//        .------------------- again -----------------.
//        v                                           |
//   kCredential --> kTunnel --- nobody there ---> kPausing
//        \             \                              |
//         \_____________\__ left the mesh __> kPlain <-'       each may fail: the handler is told, once
class Tunnels::Attempt final : public connect::Dial,
                               private connect::DialHandler,
                               private CredentialWaits::Waiter,
                               private base::IoHandler {
 public:
  struct Plan {
    std::string pod;
    base::SocketAddress destination;
    model::SpiffeId accepted, own;
    std::string baggage, forwarded, traceparent;
  };

  Attempt(Tunnels& owner, Plan plan, connect::DialHandler& handler);
  ~Attempt() override;

  void begin();
  void fail_soon(std::string why);

 private:
  enum class Step : uint8_t { kCredential, kTunnel, kPausing, kPlain };

  void open_tunnel();
  void go_plain();
  // True: the error was of a moment in which a pod joins or leaves the mesh, and the dial goes on.
  [[nodiscard]] bool goes_on(const base::Error& error);
  void on_time_up();
  void on_dialled(base::Result<std::unique_ptr<base::Transport>> outcome) override;
  void on_credential(const std::string& why) override;
  void on_io(uint32_t) override;
  [[nodiscard]] Way way() const { return owner_.way_of(plan_.pod, plan_.destination, plan_.accepted); }
  [[nodiscard]] base::Error no_identity(std::string_view why) const;

  Tunnels& owner_;
  const Plan plan_;
  connect::DialHandler& handler_;
  base::Timer timer_;  // of the step: a certificate's patience, a pause
  Step step_ = Step::kCredential;
  bool waiting_ = false;     // for the certificate
  bool broken_ = false;      // once already
  std::string failure_;      // to be told in the next turn
  base::Instant give_up_{};  // no more asking again then
  base::Nanos pause_{};      // the last one; zero before the first
  std::unique_ptr<connect::Dial> dial_;
};

}  // namespace weft::worker
