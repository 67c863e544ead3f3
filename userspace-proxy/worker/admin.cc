#include "userspace-proxy/worker/admin.h"

#include <fmt/format.h>
#include <pthread.h>

#include "userspace-proxy/base/log.h"

namespace weft::worker {
namespace {

using observe::StatusReply;
using observe::StatusRequest;

const StatusReply kNotFound{.code = 404, .body = "not found\n"};
const StatusReply kNotAllowed{.code = 405, .body = "use POST\n"};

bool is_get(const StatusRequest& request) {
  return request.method == "GET" || request.method == "HEAD";
}

// Minimal: what is in force and how large it is.
std::string config_dump(const Health& health) {
  return fmt::format(
      "{{\"version\":{{\"component\":\"weft-proxy\",\"snapshot\":{}}},\"agentConnected\":{},\"draining\":{},"
      "\"counts\":{{"
      "\"workloads\":{},\"services\":{},\"clusters\":{},\"routeTables\":{},\"localPods\":{},"
      "\"gatewayListeners\":{}}}}}\n",
      health.snapshot_version.load(), health.connected.load(), health.draining.load(),
      health.workloads.load(), health.services.load(), health.clusters.load(), health.route_tables.load(),
      health.local_pods.load(), health.gateway_listeners.load());
}

// "access=on", "access=off", "level=debug", joined by "&".
StatusReply change_logging(Fleet& fleet, std::string_view query) {
  StatusReply reply;
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), part.size() + 1));
    if (part == "access=on" || part == "access=off") {
      fleet.enable_access_log(part == "access=on");
      reply.body += fmt::format("access log {}\n", part.substr(7));
      continue;
    }
    const auto level = part.starts_with("level=") ? spdlog::level::from_str(std::string(part.substr(6)))
                                                  : spdlog::level::off;
    if (level == spdlog::level::off && part != "level=off")
      return {.code = 400, .body = "expected access=on|off or level=trace|debug|info|warn|error|off\n"};
    spdlog::set_level(level);
    reply.body += fmt::format("log level {}\n", part.substr(6));
  }
  if (reply.body.empty())
    reply.body = fmt::format("log level {}\n", spdlog::level::to_string_view(spdlog::get_level()));
  return reply;
}

}  // namespace

StatusReply answer_metrics(Fleet& fleet, const StatusRequest& request) {
  if (request.path != "/metrics" && request.path != "/stats/prometheus") return kNotFound;
  if (!is_get(request)) return {.code = 405, .body = "use GET\n"};
  return {.body = observe::Exposition([&] { return fleet.gather(); }).text(),
          .content_type = "text/plain; version=0.0.4; charset=utf-8"};
}

StatusReply answer_ready(const Health& health, const StatusRequest& request) {
  if (request.path != "/healthz/ready") return kNotFound;
  if (health.draining) return {.code = 500, .body = "draining\n"};
  if (health.snapshot_version == 0)
    return {.code = 500, .body = "waiting for the first configuration from the agent\n"};
  if (!health.synced) return {.code = 500, .body = "waiting for sockets from the agent\n"};
  return {.body = "ready\n"};
}

StatusReply answer_admin(Fleet& fleet, const std::function<void()>& quit, const StatusRequest& request) {
  if (request.path == "/logging")
    return request.method == "POST" ? change_logging(fleet, request.query) : kNotAllowed;
  if (request.path == "/quitquitquit") {
    if (request.method != "POST") return kNotAllowed;
    quit();
    return {.body = "shutting down\n"};
  }
  if (request.path == "/config_dump")
    return {.body = config_dump(fleet.health()), .content_type = "application/json"};
  if (request.path == "/stats") return {.body = observe::counters_text(fleet.gather().workers)};
  if (request.path == "/")
    return {
        .body =
            "GET /config_dump, GET /stats, POST /logging?access=on|off&level=LEVEL, POST /quitquitquit\n"};
  return kNotFound;
}

base::Result<std::unique_ptr<Admin>> Admin::bind(const base::Clock& clock, const Addresses& addresses) {
  TRY_ASSIGN(auto loop, base::Loop::create(clock));
  std::unique_ptr<Admin> admin(new Admin(std::move(loop)));
  TRY_ASSIGN(admin->metrics_, observe::StatusServer::bind(addresses.metrics));
  TRY_ASSIGN(admin->ready_, observe::StatusServer::bind(addresses.ready));
  TRY_ASSIGN(admin->admin_, observe::StatusServer::bind(addresses.admin));
  return admin;
}

base::Status Admin::start(Fleet& fleet, std::function<void()> quit) {
  TRY(server_.serve(std::move(metrics_),
                    [&fleet](const auto& request) { return answer_metrics(fleet, request); }));
  TRY(server_.serve(std::move(ready_),
                    [&fleet](const auto& request) { return answer_ready(fleet.health(), request); }));
  TRY(server_.serve(std::move(admin_), [&fleet, quit = std::move(quit)](const auto& request) {
    return answer_admin(fleet, quit, request);
  }));
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "status");
    loop_->run();
  });
  return {};
}

Admin::~Admin() {
  if (!thread_.joinable()) return;
  loop_->stop();
  thread_.join();
}

}  // namespace weft::worker
