#include "userspace-proxy/worker/layer4.h"

#include <fmt/format.h>

#include <array>

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

}  // namespace

Layer4::Layer4(const Tools& tools, identify::ConnInfo info, std::unique_ptr<base::Transport> source,
               Layer4Owner& owner)
    : tools_(tools), info_(std::move(info)), source_(std::move(source)), owner_(owner) {}

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
  dial();
}

// Decides what is dialled. False: there is nothing to dial.
bool Layer4::aim(const Config& config) {
  target_ = info_.original;
  destination_ = info_.destination;
  if (info_.service == model::kNone || info_.kind == listen::Kind::kInbound) return true;
  const auto* endpoint = identify::choose_endpoint(*config.index, info_, tools_.random());
  if (endpoint == nullptr) return false;
  target_ = endpoint->address;
  destination_ = endpoint->workload;
  return true;
}

void Layer4::dial() {
  enter(Step::kDialling);
  connect::DialTarget target{.pod = info_.pod, .destination = target_};
  if (info_.kind == listen::Kind::kInbound) target.client = info_.peer;
  dial_ = tools_.dialer.dial(target, *this);
}

void Layer4::on_dialled(base::Result<std::unique_ptr<base::Transport>> outcome) {
  dial_.reset();
  if (!outcome) return close_source(Flag::kConnect, base::describe(outcome.error()));
  if (const auto local = base::local_address((*outcome)->raw_fd())) local_ = *local;
  enter(Step::kRelaying);
  relay::RelayOwner& owner = *this;
  relay_ = std::make_unique<relay::Relay>(tools_.loop, tools_.bench, std::move(source_), std::move(*outcome),
                                          owner);
  relay_->start();
}

void Layer4::on_relay_end(relay::Relay& relay) {
  auto& counters = tools_.recorder.counters();
  count_bytes();
  switch (relay.cause()) {
    case relay::Cause::kNone:
      return finish(Flag::kNone, "");
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

void Layer4::refuse(const policy::Verdict& verdict) {
  ++tools_.recorder.counters().policy_refused;
  close_source(Flag::kDeny, "policy: " + policy::describe(verdict));
}

// Nothing was relayed: the application must see a failure at once, and a reset is the one that cannot be
// taken for an empty answer.
void Layer4::close_source(Flag flag, std::string why) {
  dial_.reset();
  source_->reset();
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
  (flag == Flag::kConnect ? record.transport_failure : record.termination_details) = why;
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

observe::FlowKey Layer4::flow_key() const {
  const bool inbound = info_.kind == listen::Kind::kInbound;
  return {.reporter = inbound ? observe::Reporter::kDestination : observe::Reporter::kSource,
          .protocol = observe::RequestProtocol::kTcp,
          .source = info_.source,
          .service = info_.service,
          .destination = destination_};
}

std::string Layer4::cluster_name() const {
  if (info_.kind == listen::Kind::kInbound) return fmt::format("inbound|{}||", info_.original.port);
  if (info_.cluster == model::kNone) return "PassthroughCluster";
  return info_.snapshot->clusters[info_.cluster].name;
}

}  // namespace weft::worker
