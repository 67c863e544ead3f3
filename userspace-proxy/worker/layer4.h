#pragma once
#include <list>
#include <memory>
#include <random>
#include <span>
#include <string>

#include "userspace-proxy/connect/dialer.h"
#include "userspace-proxy/identify/conn_info.h"
#include "userspace-proxy/observe/recorder.h"
#include "userspace-proxy/relay/relay.h"
#include "userspace-proxy/worker/config.h"
#include "userspace-proxy/worker/gate.h"

namespace weft::worker {

// What a worker lends to its connections; outlives them.
struct Tools {
  base::Loop& loop;
  relay::Workbench bench;
  connect::Dialer& dialer;
  observe::Recorder& recorder;
  std::minstd_rand& random;
};

class Layer4;

class Layer4Owner {
 public:
  virtual ~Layer4Owner() = default;
  // Over and recorded: retire it. Called once.
  virtual void on_layer4_over(Layer4& connection) = 0;
};

// One relayed connection from accept to record.
//
//   kStart --> kDialling --> kRelaying --> kOver
//      |           \_______________________^  could not be reached, cut
//      \___________________________________^  no endpoint, refused by policy
//
// Owned by its worker, lives in the worker's thread.
class Layer4 final : public base::Retirable,
                     private connect::DialHandler,
                     private relay::RelayOwner,
                     private GateWatcher {
 public:
  enum class Step : uint8_t { kStart, kDialling, kRelaying, kOver, kCount };

  Layer4(const Tools& tools, identify::ConnInfo info, std::unique_ptr<Gate> gate, Layer4Owner& owner);
  ~Layer4() override;

  void start(const Config& config);
  // A new Snapshot is in force: the connection is cut when policy refuses it now.
  void judge_again(const Config& config);
  // The drain time is over.
  void cut();
  // Adds the bytes carried since the last call to the metrics.
  void count_bytes();

  std::list<std::unique_ptr<Layer4>>::iterator place;  // in the worker's list

 private:
  void on_dialled(base::Result<std::unique_ptr<base::Transport>> outcome) override;
  void on_relay_end(relay::Relay& relay) override;
  void on_source_gone() override;

  [[nodiscard]] bool aim(const Config& config);
  void dial();
  void note_strayed();
  void refuse(const policy::Verdict& verdict);
  void close_source(observe::Flag flag, std::string why);
  void finish(observe::Flag flag, std::string_view why);
  void enter(Step step);
  void record_identities(observe::ConnRecord& record, std::string& source, std::string& destination) const;
  [[nodiscard]] observe::FlowKey flow_key() const;
  [[nodiscard]] observe::Security security() const;
  [[nodiscard]] std::string cluster_name() const;

  Tools tools_;
  identify::ConnInfo info_;
  std::unique_ptr<Gate> gate_;  // until the relay has what it opens to
  Layer4Owner& owner_;
  Step step_ = Step::kStart;
  observe::FlowId flow_ = 0;
  uint32_t destination_ = model::kNone;        // workload dialled
  base::SocketAddress target_;                 // what is dialled
  base::SocketAddress local_;                  // our address on that leg
  bool strayed_ = false;                       // plain where a tunnel was meant
  uint64_t counted_in_ = 0, counted_out_ = 0;  // bytes already in the metrics
  std::unique_ptr<connect::Dial> dial_;
  std::unique_ptr<relay::Relay> relay_;
  std::string cut_because_;
  std::string dry_run_;  // what rules on a dry run would have said; empty: nothing
};

}  // namespace weft::worker
