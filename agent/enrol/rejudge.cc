#include "agent/enrol/rejudge.h"

#include <algorithm>
#include <cstring>

#include "bpf/decide/arrival.h"
#include "userspace-proxy/base/log.h"

namespace weft::enrol {
namespace {

weft_address to_abi(const base::Address& address) {
  weft_address out;
  std::memcpy(out.bytes, address.bytes.data(), sizeof out.bytes);
  return out;
}

// As the connecting side sees it.
weft_tuple tuple_of(const base::SocketAddress& source, const base::SocketAddress& destination) {
  return {.source = to_abi(source.address),
          .destination = to_abi(destination.address),
          .source_port = source.port,
          .destination_port = destination.port};
}

const weft_pod* find_pod(const compile::Tables& tables, uint32_t pod_id) {
  for (const auto& [uid, pod] : tables.pods)
    if (pod.pod_id == pod_id) return &pod;
  return nullptr;
}

}  // namespace

Rejudge::Rejudge(base::Loop& loop, RejudgeDoors doors)
    : clock_(loop.clock()),
      doors_(std::move(doors)),
      timer_(loop.timers(), [this] { turn(); }),
      second_look_(loop.timers(), [this] {
        due_.insert(due_.end(), again_.begin(), again_.end());
        again_.clear();
        turn();
      }) {}

void Rejudge::look_at(const std::set<uint32_t>& pod_ids) {
  if (pod_ids.empty()) return;
  for (const uint32_t pod_id : pod_ids)
    if (std::ranges::find(due_, pod_id) == due_.end()) due_.push_back(pod_id);
  again_.insert(pod_ids.begin(), pod_ids.end());
  timer_.arm(base::Nanos(0));
  second_look_.arm(kSecondLook);
}

void Rejudge::turn() {
  for (const base::Instant begin = clock_.now(); !due_.empty() && clock_.now() - begin < kTurn;) {
    const uint32_t pod_id = due_.front();
    due_.pop_front();
    look(pod_id);
  }
  if (!due_.empty()) timer_.arm(base::Nanos(0));
}

void Rejudge::look(uint32_t pod_id) {
  const weft_pod* pod = find_pod(doors_.tables(), pod_id);
  PodNetns* netns = pod == nullptr ? nullptr : doors_.netns_of(pod_id);
  if (netns == nullptr) return;
  const auto connections = netns->arrived();
  if (!connections) {
    ++counters_.failures;
    spdlog::error("judge again: the connections of pod id {}: {}", pod_id,
                  base::describe(connections.error()));
    return;
  }
  for (const ArrivedConnection& connection : *connections) judge(*netns, *pod, connection);
}

compile::Caller Rejudge::caller_of(const weft_tuple& tuple) const {
  compile::Caller caller{.address = tuple.source};
  const auto record = doors_.kernel.attested(tuple);
  if (!record) return caller;
  const auto source = doors_.kernel.pod(record->netns_cookie);
  caller.proof = weft_proof_of(&*record, source ? &*source : nullptr);
  if (caller.proof != WEFT_PROOF_POD) return caller;
  caller.identity = record->identity;
  caller.namespace_id = record->namespace_id;
  return caller;
}

void Rejudge::judge(PodNetns& netns, const weft_pod& pod, const ArrivedConnection& connection) {
  const weft_tuple tuple = tuple_of(connection.peer, connection.local);
  // A pod's calls to itself are asked nothing, and what it opened itself is no arrival though a listener has
  // the same port.
  if (weft_is_loopback(&tuple.destination) || weft_is_own(&pod, &tuple.source)) return;
  const auto own = doors_.kernel.attested(tuple_of(connection.local, connection.peer));
  if (own && own->netns_cookie == netns.cookie()) return;
  const compile::Caller caller = caller_of(tuple);
  const auto judgement = compile::judge_arrival(doors_.tables(), pod, caller, connection.local.port);
  ++counters_.looked_at;
  if (judgement.steer == WEFT_STEER_APP) return;
  if (auto ended = netns.cut(connection); !ended) {
    ++counters_.failures;
    spdlog::error("judge again: {} -> {} is not admitted any more and could not be ended: {}",
                  connection.peer.to_string(), connection.local.to_string(), base::describe(ended.error()));
    return;
  }
  ++counters_.cut;
  weft_event event{};
  event.counter = judgement.counter;
  event.rule_id = judgement.rule_id;
  event.source_identity = caller.identity;
  event.source_namespace_id = caller.namespace_id;
  event.pod_id = pod.pod_id;
  event.source = tuple.source;
  event.destination = tuple.destination;
  event.source_port = tuple.source_port;
  event.destination_port = tuple.destination_port;
  doors_.on_cut(event);
}

}  // namespace weft::enrol
