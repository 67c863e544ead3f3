#include "agent/leader.h"

#include "userspace-proxy/base/log.h"

namespace weft::agent {

base::Result<std::unique_ptr<Leader>> Leader::create(kube::Config config, const base::Clock& clock,
                                                     const std::string& ns, const std::string& replica) {
  auto out = std::unique_ptr<Leader>(new Leader());
  TRY_ASSIGN(out->client_, kube::Client::create(std::move(config), clock));
  Leader* const raw = out.get();
  out->election_ = std::make_unique<kube::LeaderElection>(
      *out->client_, clock, kube::LeaseOptions{.ns = ns, .name = "weft-control", .identity = replica},
      kube::LeaderElection::Callbacks{.elected = [raw] { raw->tell(true); }, .lost = [raw] { raw->tell(false); }});
  return out;
}

Leader::~Leader() {
  stop();
}

void Leader::start() {
  election_->start();
}

void Leader::stop() {
  if (!election_) return;
  election_->stop();
  client_->stop();
}

void Leader::tell(bool leads) {
  spdlog::info("control: this replica {}", leads ? "leads and writes statuses" : "leads no more");
  for (const auto& listener : listeners_) listener(leads);
}

objects::Node Leader::describe() const {
  objects::Node out = objects::Node::mapping();
  out.set("leads", objects::Node::boolean(leads()));
  out.set("holder", objects::Node::string(election_->holder()));
  if (const std::string problem = election_->problem(); !problem.empty())
    out.set("problem", objects::Node::string(problem));
  return out;
}

}  // namespace weft::agent
