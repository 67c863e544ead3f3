#include "agent/pod_entrance.h"

#include "userspace-proxy/base/log.h"

namespace weft::agent {
namespace {

using objects::Node;

constexpr base::Nanos kKeepEvery = std::chrono::seconds(5), kFindEvery = std::chrono::seconds(10);
// Whoever rewrites a configuration in a circle gets as many answers a second.
constexpr base::Nanos kKeepPause = base::Millis(50), kFindPause = base::Millis(50);
// After weft-cni was found unchained, for sandboxes that were made by the other configuration: such a pod is found as a
// running one, mostly before its first container, which a runtime starts some 100 ms after the sandbox.
constexpr int kLooksAfterRepair = 30;

Node number(uint64_t value) {
  return Node::integer(static_cast<int64_t>(value));
}

cni::Judgement judgement_of(const std::optional<state::Enrolment>& enrolment) {
  if (!enrolment) return {cni::Verdict::kUnknown, "its object, or its namespace's, is not there"};
  return {enrolment->enrolled ? cni::Verdict::kCapture : cni::Verdict::kLeave, enrolment->message};
}

state::SandboxFact fact_of(const cni::Sandbox& sandbox) {
  state::SandboxFact fact{sandbox.ns, sandbox.name, sandbox.netns, {}};
  for (const std::string& text : sandbox.addresses)
    if (auto address = base::Address::parse(text); address) fact.addresses.push_back(*address);
  return fact;
}

cni::KeeperOptions keeper_options(const CniOptions& options) {
  return {.conf_dir = options.conf_dir,
          .bin_dir = options.bin_dir,
          .binary = options.binary,
          .entry = {options.socket, options.fail_open, {"kube-system", "weft-system"}}};
}

}  // namespace

PodEntrance::PodEntrance(base::Loop& loop, const Options& options, Source& source, enrol::Enroller& enroller)
    : loop_(loop), options_(options), source_(source), enroller_(enroller), admission_(loop, *this, *this) {}

PodEntrance::~PodEntrance() {
  stop();
}

base::Result<std::unique_ptr<PodEntrance>> PodEntrance::create(base::Loop& loop, const Options& options,
                                                               Source& source, enrol::Enroller& enroller) {
  auto entrance = std::unique_ptr<PodEntrance>(new PodEntrance(loop, options, source, enroller));
  TRY(entrance->build());
  return entrance;
}

base::Status PodEntrance::build() {
  TRY_ASSIGN(server_, cni::Server::create(loop_, admission_, {.socket_path = options_.cni.socket}));
  TRY_ASSIGN(finding_, cni::Rounds::create({.name = "find-pods", .every = kFindEvery, .pause = kFindPause},
                                           [this] { find(); }));
  // Before the first build, which says who stays captured.
  take_found(procfs::PodFinder().scan());
  if (options_.cni.conf_dir.empty()) return {};
  keeper_ = std::make_unique<cni::Keeper>(keeper_options(options_.cni));
  TRY_ASSIGN(
      keeping_,
      cni::Rounds::create(
          {.name = "keep-cni", .every = kKeepEvery, .pause = kKeepPause, .readable = keeper_->changes_fd()},
          [this] { keep(); }));
  return {};
}

void PodEntrance::start() {
  finding_->start();
  if (keeping_) keeping_->start();
}

void PodEntrance::stop() {
  if (keeping_) keeping_->stop();
  finding_->stop();
}

void PodEntrance::keep() {
  keeper_->forget_changes();
  loop_.post([this, now = keeper_->look()] {
    if (now.problem != kept_.problem && !now.problem.empty()) spdlog::error("cni: {}", now.problem);
    if (now.repairs != kept_.repairs) {
      spdlog::warn("cni: weft-cni was not chained any more in {} and is again", now.conflist);
      looks_left_ = kLooksAfterRepair;
      finding_->ask();
    }
    if (now.chained && !kept_.chained) spdlog::info("cni: weft-cni is chained in {}", now.conflist);
    kept_ = now;
  });
}

void PodEntrance::find() {
  auto found = procfs::PodFinder().scan();
  loop_.post([this, found = std::move(found)]() mutable { take_found(std::move(found)); });
}

void PodEntrance::take_found(base::Result<procfs::Found> found) {
  if (looks_left_ > 0 && --looks_left_ > 0) finding_->ask();
  const std::string problem = found ? "" : base::describe(found.error());
  if (problem != find_problem_ && !problem.empty()) spdlog::error("pods: {}", problem);
  find_problem_ = problem;
  if (!found) return;
  found_ = std::move(*found);
  std::map<std::string, std::string> paths;
  for (const auto& [uid, pod] : found_.pods) paths.emplace(uid, pod.netns);
  if (book_.found(paths)) tell_source();
}

// Once a turn, however many pods start in it.
void PodEntrance::tell_source() {
  if (std::exchange(telling_, true)) return;
  loop_.post([this] {
    telling_ = false;
    state::SandboxFacts facts;
    for (const auto& [uid, sandbox] : book_.by_uid()) facts.emplace(uid, fact_of(sandbox));
    source_.set_sandboxes(std::move(facts));
  });
}

cni::Judgement PodEntrance::judge(const cni::Request& sandbox) const {
  return judgement_of(source_.state().enrolment_of(sandbox.ns, sandbox.name, sandbox.uid));
}

cni::Judgement PodEntrance::judge_namespace(const std::string& ns) const {
  return judgement_of(source_.state().enrolment_of_namespace(ns));
}

void PodEntrance::sandbox_is(const cni::Request& sandbox) {
  if (book_.add(sandbox)) tell_source();
}

void PodEntrance::sandbox_gone(const cni::Request& sandbox) {
  if (book_.remove(sandbox)) tell_source();
}

bool PodEntrance::is_armed(const cni::Request& sandbox) const {
  return enroller_.is_armed(sandbox.ns + "/" + sandbox.name, sandbox.netns);
}

std::string PodEntrance::why_not_armed(const cni::Request& sandbox) const {
  for (const auto& status : enroller_.status())
    if (status.name == sandbox.ns + "/" + sandbox.name)
      return status.detail.empty() ? std::string(enrol::name_of(status.gap)) : status.detail;
  return "it is not among the pods to capture yet";
}

void PodEntrance::describe(Report& report) const {
  Node out = Node::mapping();
  out.set("failMode", Node::string(options_.cni.fail_open ? "open" : "closed"));
  const auto& server = server_->counters();
  out.set("accepted", number(server.accepted));
  out.set("refused", number(server.refused));
  out.set("malformed", number(server.malformed));
  out.set("timeouts", number(server.timeouts));
  const auto& admission = admission_.counters();
  for (size_t i = 0; i < cni::kOutcomes; ++i)
    out.set("adds_" + std::string(cni::name_of(static_cast<cni::Outcome>(i))), number(admission.adds[i]));
  out.set("adds_waiting", number(admission_.waiting()));
  out.set(
      "longest_add_ms",
      number(static_cast<uint64_t>(std::chrono::duration_cast<base::Millis>(admission.longest_add).count())));
  out.set("checks_failed", number(admission.checks_failed));
  out.set("dels", number(admission.dels));
  out.set("sandboxes", number(book_.by_uid().size()));
  out.set("pods_found", number(found_.pods.size()));
  out.set("pods_of_unknown_namespace", number(found_.unknown));
  if (keeper_) {
    out.set("chained", Node::boolean(kept_.chained));
    out.set("conflist", Node::string(kept_.conflist));
    out.set("chain_repairs", number(kept_.repairs));
    out.set("chain_failures", number(kept_.failures));
    out.set("binary_installs", number(kept_.binary_installs));
    if (!kept_.problem.empty()) out.set("problem", Node::string(kept_.problem));
    if (!kept_.chained)
      report.waiting_for.push_back("weft-cni to be chained" +
                                   (kept_.problem.empty() ? "" : ": " + kept_.problem));
  }
  if (!find_problem_.empty()) out.set("findProblem", Node::string(find_problem_));
  report.cni = std::move(out);
}

}  // namespace weft::agent
