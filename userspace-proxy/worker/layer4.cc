#include "userspace-proxy/worker/layer4.h"

#include <fmt/format.h>

#include <array>

#include "userspace-proxy/hbone/dialer.h"

namespace weft::worker {
namespace {

using observe::Flag;
using Row = std::array<bool, static_cast<size_t>(Layer4::Step::kCount)>;
constexpr std::array<Row, static_cast<size_t>(Layer4::Step::kCount)> kLegal = {{
    // kStart, kDialling, kRelaying, kOver
    {{false, true, false, true}},    // kStart
    {{false, false, true, true}},    // kDialling
    {{false, false, false, true}},   // kRelaying
    {{false, false, false, false}},  // kOver
}};

bool is_transport_failure(Flag flag) {
  return flag == Flag::kConnect || flag == Flag::kIdentityError || flag == Flag::kTlsFailure ||
         flag == Flag::kHandshakeFailure || flag == Flag::kNetworkPolicy;
}

}  // namespace

Layer4::Layer4(const Tools& tools, identify::ConnInfo info, std::unique_ptr<Gate> gate, Layer4Owner& owner)
    : tools_(tools), info_(std::move(info)), gate_(std::move(gate)), owner_(owner) {
  gate_->watch(*this);
}

Layer4::~Layer4() = default;

void Layer4::start(const Config& config) {
  const bool aimed = aim(config);
  flow_ = tools_.recorder.metrics().flow(*info_.snapshot, flow_key());
  tools_.recorder.connection_opened(flow_);
  if (!aimed) {
    ++tools_.recorder.counters().relay_no_endpoint;
    return close_source(Flag::kNoHealthyEndpoint, "the service has no endpoint");
  }
  const auto verdict = judge(config, info_, destination_, target_);
  if (!verdict.allows()) return refuse(verdict);
  if (verdict.would_deny) {
    ++tools_.recorder.counters().policy_dry_run_denials;
    dry_run_ = "policy: " + policy::describe(verdict);
  }
  dial();
}

// Decides what is dialled. False: there is nothing to dial.
bool Layer4::aim(const Config& config) {
  target_ = info_.original;
  destination_ = info_.destination;
  if (info_.service == model::kNone || info_.inbound()) return true;
  const auto* endpoint = identify::choose_endpoint(*config.index, info_, tools_.random());
  if (endpoint == nullptr) return false;
  target_ = endpoint->address;
  destination_ = endpoint->workload;
  return true;
}

void Layer4::dial() {
  enter(Step::kDialling);
  connect::DialTarget target{.pod = info_.pod, .destination = target_};
  if (info_.inbound()) target.client = info_.peer;
  if (!info_.inbound()) {
    const auto& services = info_.snapshot->services;
    target.identity = connect::identity_wanted(*info_.snapshot, info_.source, destination_, target_.port);
    target.origin = {info_.peer, info_.service == model::kNone ? std::string_view() : services[info_.service].hostname};
  }
  dial_ = tools_.dialer.dial(target, *this);
}

void Layer4::on_dialled(base::Result<std::unique_ptr<base::Transport>> outcome) {
  dial_.reset();
  if (!outcome) return close_source(hbone::flag_of(outcome.error()), base::describe(outcome.error()));
  if (const int fd = (*outcome)->raw_fd(); fd >= 0) {  // a stream has none
    local_ = base::local_address(fd).value_or(local_);
    note_strayed();
  }
  enter(Step::kRelaying);
  relay::RelayOwner& owner = *this;
  relay_ = std::make_unique<relay::Relay>(tools_.loop, tools_.bench, gate_->open(), std::move(*outcome),
                                          owner);
  relay_->start();
}

// What was to go through a tunnel goes without: an end has left the mesh meanwhile. What is counted from here on says so.
void Layer4::note_strayed() {
  if (security() != observe::Security::kMutualTls || info_.inbound()) return;
  strayed_ = true;
  flow_ = tools_.recorder.metrics().flow(*info_.snapshot, flow_key());
}

void Layer4::on_relay_end(relay::Relay& relay) {
  auto& counters = tools_.recorder.counters();
  count_bytes();
  switch (relay.cause()) {
    case relay::Cause::kNone:
      return finish(Flag::kNone, dry_run_);
    case relay::Cause::kSourceReset:
      ++counters.relay_source_reset;
      return finish(Flag::kNone, "source_reset");
    case relay::Cause::kDestinationReset:
      ++counters.relay_destination_reset;
      return finish(Flag::kNone, "destination_reset");
    case relay::Cause::kAborted:
      break;
  }
  const bool denied = cut_because_.starts_with("policy");
  finish(denied ? Flag::kDeny : Flag::kNone, cut_because_);
}

void Layer4::judge_again(const Config& config) {
  if (step_ == Step::kOver) return;
  const uint32_t destination = config.index->workload_at(target_.address);
  const auto verdict = judge(config, info_, destination, target_);
  if (verdict.allows()) return;
  ++tools_.recorder.counters().policy_cut;
  cut_because_ = "policy: " + policy::describe(verdict);
  if (relay_) return relay_->abort();
  close_source(Flag::kDeny, cut_because_);
}

void Layer4::cut() {
  if (step_ == Step::kOver) return;
  ++tools_.recorder.counters().drain_cut;
  cut_because_ = "drain";
  if (relay_) return relay_->abort();
  close_source(Flag::kNone, cut_because_);
}

void Layer4::on_source_gone() {
  if (step_ == Step::kOver || relay_) return;
  dial_.reset();
  ++tools_.recorder.counters().relay_source_reset;
  finish(Flag::kNone, "source_reset");
}

void Layer4::refuse(const policy::Verdict& verdict) {
  ++tools_.recorder.counters().policy_refused;
  close_source(Flag::kDeny, "policy: " + policy::describe(verdict));
}

// Nothing was relayed: the application must see a failure at once, and a reset is the one that cannot be
// taken for an empty answer.
void Layer4::close_source(Flag flag, std::string why) {
  dial_.reset();
  gate_->turn_away(flag, why);
  finish(flag, why);
}

void Layer4::count_bytes() {
  if (!relay_) return;
  const uint64_t in = relay_->from_source(), out = relay_->to_source();
  tools_.recorder.connection_bytes(flow_, in - counted_in_, out - counted_out_);
  counted_in_ = in;
  counted_out_ = out;
}

void Layer4::finish(Flag flag, std::string_view why) {
  enter(Step::kOver);
  observe::ConnRecord record;
  const std::string cluster = cluster_name();
  record.flow = flow_;
  record.start = info_.started_wall;
  record.duration = tools_.loop.clock().now() - info_.started;
  record.flag = flag;
  std::string source_identity, destination_identity;
  record_identities(record, source_identity, destination_identity);
  (is_transport_failure(flag) ? record.transport_failure : record.termination_details) = why;
  record.bytes_received = counted_in_;
  record.bytes_sent = counted_out_;
  record.cluster = cluster;
  record.destination = target_;
  record.destination_local = local_;
  record.local = info_.original;
  record.peer = info_.peer;
  tools_.recorder.connection_done(record);
  owner_.on_layer4_over(*this);
}

void Layer4::enter(Step step) {
  CHECK(kLegal[static_cast<size_t>(step_)][static_cast<size_t>(step)]);
  step_ = step;
}

observe::Security Layer4::security() const {
  if (strayed_) return observe::Security::kNone;
  if (!info_.inbound())
    return observe::outbound_security(*info_.snapshot, info_.source, destination_, target_.port);
  if (info_.tunnelled) return observe::Security::kMutualTls;
  return info_.proven ? observe::Security::kKernelAttested : observe::Security::kNone;
}

// Made only where lines are written; `source` and `destination` hold the text.
void Layer4::record_identities(observe::ConnRecord& record, std::string& source, std::string& destination) const {
  const auto secured = security();
  if (!tools_.recorder.logs() || secured == observe::Security::kNone) return;
  if (info_.proven) source = info_.proven->to_string();
  if (secured == observe::Security::kMutualTls && destination_ != model::kNone)
    destination = model::identity_of(info_.snapshot->workloads[destination_], info_.snapshot->settings);
  record.source_identity = source;
  record.destination_identity = destination;
}

observe::FlowKey Layer4::flow_key() const {
  const bool inbound = info_.inbound();
  return {.reporter = inbound ? observe::Reporter::kDestination : observe::Reporter::kSource,
          .protocol = observe::RequestProtocol::kTcp,
          .source = info_.source,
          .service = info_.service,
          .destination = destination_,
          .security = security()};
}

std::string Layer4::cluster_name() const {
  if (info_.inbound()) return fmt::format("inbound|{}||", info_.original.port);
  if (info_.cluster == model::kNone) return "PassthroughCluster";
  return info_.snapshot->clusters[info_.cluster].name;
}

}  // namespace weft::worker
