#include "agent/nodes/keeper.h"

#include <fmt/chrono.h>
#include <pthread.h>

#include "userspace-proxy/base/log.h"

namespace weft::nodes {
namespace {

using objects::Node;

// Between two looks: how late a grace that has passed is noticed.
constexpr base::Nanos kLookEvery = std::chrono::seconds(1);
// A write is seen in the object soon; until then it is not repeated. After a failure likewise.
constexpr base::Nanos kSettles = std::chrono::seconds(5);
constexpr base::Nanos kDeadline = std::chrono::seconds(5);

const kube::Resource& nodes_resource() {
  static const kube::Resource kNodes = *kube::known_resource("v1", "Node");
  return kNodes;
}

std::string seconds_text(base::WallTime time) {
  return fmt::format("{:%FT%TZ}", std::chrono::floor<std::chrono::seconds>(time));
}

}  // namespace

class NodeKeeper::Sink final : public kube::ReflectorSink {
 public:
  Sink(NodeKeeper& keeper, bool nodes) : keeper_(keeper), nodes_(nodes) {}
  void on_object(Node object) override {
    if (nodes_) return keeper_.take_node(object);
    keeper_.take_agent(object);
  }
  void on_gone(const kube::ObjectName& name) override { keeper_.forget(nodes_, name.name); }
  void on_synced() override { keeper_.synced(nodes_); }
  void on_state(const kube::ReflectorState& state) override {
    if (state.phase == kube::ReflectorPhase::kStale) keeper_.say(state.why);
    if (state.phase == kube::ReflectorPhase::kWatching) keeper_.say("");
  }

 private:
  NodeKeeper& keeper_;
  const bool nodes_;
};

NodeKeeper::NodeKeeper(kube::Client& client, const base::Clock& clock, KeeperOptions options,
                       std::function<bool()> leads)
    : client_(client), clock_(clock), options_(std::move(options)), leads_(std::move(leads)) {}

NodeKeeper::~NodeKeeper() {
  stop();
}

base::Result<std::unique_ptr<NodeKeeper>> NodeKeeper::create(kube::Config config, kube::Client& client,
                                                             const base::Clock& clock, KeeperOptions options,
                                                             std::function<bool()> leads) {
  std::unique_ptr<NodeKeeper> out(new NodeKeeper(client, clock, std::move(options), std::move(leads)));
  TRY_ASSIGN(out->reflectors_, kube::Reflectors::create(std::move(config), clock));
  out->node_sink_ = std::make_unique<Sink>(*out, true);
  out->agent_sink_ = std::make_unique<Sink>(*out, false);
  out->reflectors_->add({.resource = nodes_resource(), .ns = {}, .label_selector = {}, .field_selector = {}},
                        *out->node_sink_);
  out->reflectors_->add({.resource = *kube::known_resource("v1", "Pod"),
                         .ns = out->options_.ns,
                         .label_selector = out->options_.agents,
                         .field_selector = {}},
                        *out->agent_sink_);
  return out;
}

void NodeKeeper::start() {
  reflectors_->start();
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "nodes");
    run();
  });
}

void NodeKeeper::stop() {
  if (reflectors_) reflectors_->stop();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::string NodeKeeper::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

void NodeKeeper::say(std::string problem) {
  const std::lock_guard lock(mutex_);
  problem_ = std::move(problem);
}

void NodeKeeper::take_node(const Node& node) {
  NodeFact fact = node_fact(node);
  const std::lock_guard lock(mutex_);
  if (!fact.linux) {
    nodes_.erase(fact.name);
    return;
  }
  nodes_[fact.name].fact = std::move(fact);
  changed_ = true;
  wake_.notify_one();
}

void NodeKeeper::take_agent(const Node& pod) {
  AgentFact fact = agent_fact(pod);
  const std::lock_guard lock(mutex_);
  agents_[fact.pod] = std::move(fact);
  changed_ = true;
  wake_.notify_one();
}

void NodeKeeper::forget(bool node, const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (node) {
    nodes_.erase(name);
  } else {
    agents_.erase(name);
  }
  changed_ = true;
  wake_.notify_one();
}

void NodeKeeper::synced(bool node) {
  const std::lock_guard lock(mutex_);
  (node ? nodes_synced_ : agents_synced_) = true;
  changed_ = true;
  wake_.notify_one();
}

void NodeKeeper::run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kLookEvery, [this] { return stopping_ || changed_; });
      if (stopping_) return;
      changed_ = false;
    }
    for (const Work& work : look()) write(work);
  }
}

// What the objects lack. Half a look would call a node without agent whose agent is merely unread.
std::vector<NodeKeeper::Work> NodeKeeper::look() {
  const bool leads = leads_();
  const std::lock_guard lock(mutex_);
  std::vector<Work> out;
  if (!nodes_synced_ || !agents_synced_) return out;
  std::map<std::string, std::vector<AgentFact>> by_node;
  for (const auto& [pod, agent] : agents_) by_node[agent.node].push_back(agent);
  const base::Instant now = clock_.now();
  uint64_t ready = 0;
  for (auto& [name, known] : nodes_) {
    const Verdict& verdict = known.capture.update(known.fact, judge(known.fact, by_node[name]), now);
    if (verdict.ready) ++ready;
    Work work{.fact = known.fact,
              .verdict = verdict,
              .condition = !says(known.fact, verdict),
              .taint = known.capture.taint_change(known.fact, options_.taints, now)};
    if (!leads || (!work.condition && work.taint == TaintChange::kNone)) continue;
    if (known.sent == verdict && known.sent_taint == work.taint && now - known.sent_at < kSettles) continue;
    known.sent = verdict;
    known.sent_taint = work.taint;
    known.sent_at = now;
    out.push_back(std::move(work));
  }
  counters_.nodes = nodes_.size();
  counters_.nodes_ready = ready;
  return out;
}

// The condition goes first: who wonders about the taint finds there why.
void NodeKeeper::write(Work work) {
  const std::string name = work.fact.name;
  if (work.condition) {
    const bool turns = work.fact.status != (work.verdict.ready ? "True" : "False");
    const Node patch = condition_patch(work.fact, work.verdict, seconds_text(clock_.wall_now()));
    const auto answer = client_.apply(nodes_resource(), patch,
                                      {.manager = options_.manager, .force = true, .subresource = "status"},
                                      {.deadline = kDeadline});
    if (!settle(name, answer)) return;
    ++counters_.conditions_written;
    if (turns)
      spdlog::info("node {}: {} is {} ({})", name, kCondition, work.verdict.ready ? "True" : "False",
                   work.verdict.reason);
    work.fact = node_fact(*answer);  // its version, and its taints as they are now
  }
  if (work.taint == TaintChange::kNone) return;
  if (work.fact.tainted() == (work.taint == TaintChange::kAdd)) return;
  const auto answer = client_.merge_patch(nodes_resource(), "", name, taints_patch(work.fact, work.taint),
                                          {.manager = options_.manager}, {.deadline = kDeadline});
  if (!settle(name, answer)) return;
  const bool added = work.taint == TaintChange::kAdd;
  ++(added ? counters_.taints_added : counters_.taints_removed);
  spdlog::info("node {}: taint {} {}", name, kTaint, added ? "put back" : "taken away");
}

// False: the write did not do. A node that is gone needs none; one that has changed is looked at again.
bool NodeKeeper::settle(const std::string& node, const kube::ApiResult<Node>& answer) {
  if (answer) {
    say("");
    return true;
  }
  if (answer.error().not_found()) return false;
  if (answer.error().conflict()) {
    ++counters_.conflicts;
    const std::lock_guard lock(mutex_);
    if (const auto found = nodes_.find(node); found != nodes_.end()) found->second.sent = {};
    return false;
  }
  const std::string why = "node " + node + ": " + base::describe(answer.error());
  if (++counters_.failures; problem() != why) spdlog::warn("nodes: {}", why);
  say(why);
  return false;
}

}  // namespace weft::nodes
