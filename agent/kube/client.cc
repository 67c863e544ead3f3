#include "agent/kube/client.h"

#include <fmt/format.h>

#include "agent/kube/backoff.h"
#include "agent/kube/easy.h"
#include "agent/kube/list_item.h"
#include "agent/parse/json.h"

namespace weft::kube {
namespace {

using base::ErrorKind;
using base::Nanos;
using objects::Node;

constexpr size_t kIdleHandles = 4;
constexpr parse::JsonLimits kAnswer{.bytes = 64u << 20, .nodes = 2'000'000, .depth = 100};

// What may not be done twice is repeated only where the server says that it has not begun.
bool may_repeat(const std::string& method, int code, Nanos retry_after) {
  if (code == 429) return true;
  if (retry_after == Nanos(0)) return false;
  return code == 503 || (code >= 500 && method == "GET");
}

void add_query(std::string& path, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  path += path.contains('?') ? '&' : '?';
  path += fmt::format("{}={}", key, percent_encode(value));
}

ApiResult<Node> to_node(ApiResult<std::string> body, const Request& request) {
  if (!body) return std::unexpected(std::move(body).error());
  auto node = parse::read_json(*body, kAnswer);
  if (node) return *std::move(node);
  ApiError error(std::move(node).error());
  error.side = base::Side::kDestination;
  error.what = fmt::format("{} {}: {}", request.method, request.path, error.what);
  return std::unexpected(std::move(error));
}

base::Status check_name(const ObjectName& name, bool namespaced) {
  if (!is_path_segment(name.name) || (namespaced && !is_path_segment(name.ns)))
    return base::fail(ErrorKind::kInvalid, fmt::format("\"{}/{}\" names no object", name.ns, name.name));
  return {};
}

}  // namespace

struct Client::Answer {
  int code = 0;
  std::string body;
  Nanos retry_after{0};
};

// A libcurl handle with the connection it keeps.
class Client::Handle {
 public:
  Handle() : easy(curl_easy_init()) {}
  Easy easy;
  HeaderLines headers;
  std::string body;
  size_t most = 0;
  char text[CURL_ERROR_SIZE] = {};

  static size_t on_body(char* data, size_t, size_t size, void* self) {
    auto& handle = *static_cast<Handle*>(self);
    if (handle.body.size() + size > handle.most) return 0;
    handle.body.append(data, size);
    return size;
  }
};

base::Result<std::unique_ptr<Client>> Client::create(Config config, const base::Clock& clock) {
  init_curl();
  TRY_ASSIGN(auto target, Target::create(config));
  auto client = std::unique_ptr<Client>(new Client(std::move(config), clock));
  client->target_ = std::move(target);
  return client;
}

Client::Client(Config config, const base::Clock& clock)
    : config_(std::move(config)), clock_(clock), token_(config_, clock) {}

Client::~Client() = default;

void Client::stop() {
  {
    const std::lock_guard lock(pause_mutex_);
    stopped_ = true;
  }
  pause_over_.notify_all();
}

// False: stopped meanwhile.
bool Client::pause(Nanos time) {
  std::unique_lock lock(pause_mutex_);
  return !pause_over_.wait_for(lock, time, [this] { return stopped_.load(); });
}

std::unique_ptr<Client::Handle> Client::borrow() {
  const base::MutexLock lock(mutex_);
  if (idle_.empty()) return std::make_unique<Handle>();
  auto handle = std::move(idle_.back());
  idle_.pop_back();
  return handle;
}

void Client::give_back(std::unique_ptr<Handle> handle) {
  handle->body = {};
  handle->headers.clear();
  const base::MutexLock lock(mutex_);
  if (idle_.size() < kIdleHandles) idle_.push_back(std::move(handle));
}

int Client::on_progress(void* self, int64_t, int64_t, int64_t, int64_t) {
  return static_cast<Client*>(self)->stopped_ ? 1 : 0;
}

void Client::load(Handle& handle, const Request& request, const std::string& token, Nanos left) {
  CURL* easy = handle.easy.get();
  curl_easy_reset(easy);
  prepare(easy, config_, *target_, /*http2=*/false);
  handle.headers.add("Accept: application/json");
  handle.headers.add("Expect:");  // no waiting for 100-continue
  if (!token.empty()) handle.headers.add("Authorization: Bearer " + token);
  if (!request.content_type.empty()) handle.headers.add("Content-Type: " + request.content_type);
  handle.most = request.limits.max_body;
  handle.text[0] = '\0';
  curl_easy_setopt(easy, CURLOPT_URL, target_->url(request.path).c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, handle.headers.get());
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, handle.text);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<int64_t>(1, left / base::Millis(1))));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, Handle::on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &handle);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, this);
  if (!request.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.c_str());
  }
  if (request.method != "GET") curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

ApiResult<Client::Answer> Client::once(const Request& request, Nanos left) {
  TRY_ASSIGN(const std::string token, token_.current());
  auto handle = borrow();
  CURL* easy = handle->easy.get();
  if (!easy)
    return std::unexpected(
        ApiError(base::Error{.kind = ErrorKind::kLimit, .what = "no memory for a request"}));
  load(*handle, request, token, left);
  counters_.requests.fetch_add(1, std::memory_order_relaxed);
  const CURLcode code = curl_easy_perform(easy);
  counters_.bytes.fetch_add(handle->body.size(), std::memory_order_relaxed);
  if (code != CURLE_OK) {
    base::Error error = transport_error(fmt::format("{} {}", request.method, target_->url(request.path)),
                                        easy, code, handle->text);
    if (code == CURLE_WRITE_ERROR)
      error.what = fmt::format("{} {}: the answer is longer than {} bytes", request.method, request.path,
                               handle->most);
    give_back(std::move(handle));
    return std::unexpected(ApiError(std::move(error)));
  }
  Answer answer{.code = 0, .body = std::move(handle->body), .retry_after = retry_after_of(easy)};
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  answer.code = static_cast<int>(status);
  give_back(std::move(handle));
  return answer;
}

ApiResult<std::string> Client::exchange(const Request& request) {
  const base::Instant deadline = clock_.now() + request.limits.deadline;
  Backoff backoff(std::chrono::milliseconds(200), std::chrono::seconds(5), Spread::random_seed());
  bool token_renewed = false;
  while (true) {
    if (stopped_)
      return std::unexpected(ApiError(base::Error{.kind = ErrorKind::kClosed, .what = "stopping"}));
    auto answer = once(request, deadline - clock_.now());
    if (!answer) {
      counters_.failures.fetch_add(1, std::memory_order_relaxed);
      return std::unexpected(std::move(answer).error());
    }
    if (answer->code >= 200 && answer->code < 300) return std::move(answer->body);
    if (answer->code == 401 && !config_.token_file.empty() && !std::exchange(token_renewed, true)) {
      // The file may have been renewed since it was looked at last.
      token_.refused();
      continue;
    }
    const Nanos wait = backoff.next(answer->retry_after);
    const bool again = may_repeat(request.method, answer->code, answer->retry_after) &&
                       backoff.failures() <= request.limits.retries && clock_.now() + wait < deadline;
    if (!again) {
      counters_.refusals.fetch_add(1, std::memory_order_relaxed);
      return std::unexpected(
          api_error(request.method + " " + request.path, answer->code, answer->body, answer->retry_after));
    }
    counters_.retries.fetch_add(1, std::memory_order_relaxed);
    if (!pause(wait)) continue;  // stopped: said at the top
  }
}

ApiResult<Node> Client::exchange_json(const Request& request) {
  return to_node(exchange(request), request);
}

ApiResult<Node> Client::get(const Resource& resource, std::string_view ns, std::string_view name,
                            const RequestLimits& limits) {
  TRY(check_name({std::string(ns), std::string(name)}, resource.namespaced));
  return exchange_json({.path = resource.path(ns, name), .limits = limits});
}

ApiResult<std::string> Client::list(const Resource& resource, const ListOptions& options, const Each& each,
                                    const RequestLimits& limits) {
  uint32_t chunk = std::max(1u, options.chunk);
  std::string next;
  parse::JsonReader reader;
  while (true) {
    Request request{.path = resource.path(options.ns), .limits = limits};
    request.limits.max_body = options.max_chunk;
    add_query(request.path, "labelSelector", options.label_selector);
    add_query(request.path, "fieldSelector", options.field_selector);
    add_query(request.path, "limit", std::to_string(chunk));
    add_query(request.path, "continue", next);
    auto body = exchange(request);
    if (!body && body.error().kind == ErrorKind::kLimit && body.error().code == 0 && chunk > 1) {
      chunk /= 2;
      continue;
    }
    if (!body) return std::unexpected(std::move(body).error());
    TRY_ASSIGN(const ListPage page, read_page(reader, *body, resource, each, options.max_chunk));
    if (page.next.empty()) return page.resource_version;
    if (page.next == next)
      return std::unexpected(ApiError(base::Error{.kind = ErrorKind::kInvalid,
                                                  .side = base::Side::kDestination,
                                                  .what = request.path + ": the list does not get on"}));
    next = page.next;
  }
}

ApiResult<Node> Client::create_object(const Resource& resource, std::string_view ns, const Node& object,
                                      const WriteOptions& options, const RequestLimits& limits) {
  Request request{.method = "POST",
                  .path = resource.path(ns),
                  .content_type = "application/json",
                  .body = objects::to_json(object, 0),
                  .limits = limits};
  if (resource.namespaced) TRY(check_name({std::string(ns), "new"}, true));
  if (!options.subresource.empty()) {
    const ObjectName name = name_of(object);
    TRY(check_name({std::string(ns), name.name}, resource.namespaced));
    request.path = resource.path(ns, name.name, options.subresource);
  }
  add_query(request.path, "fieldManager", options.manager);
  add_query(request.path, "dryRun", options.dry_run ? "All" : "");
  return exchange_json(request);
}

ApiResult<Node> Client::replace(const Resource& resource, const Node& object, const WriteOptions& options,
                                const RequestLimits& limits) {
  const ObjectName name = name_of(object);
  TRY(check_name(name, resource.namespaced));
  Request request{.method = "PUT",
                  .path = resource.path(name.ns, name.name, options.subresource),
                  .content_type = "application/json",
                  .body = objects::to_json(object, 0),
                  .limits = limits};
  add_query(request.path, "fieldManager", options.manager);
  add_query(request.path, "dryRun", options.dry_run ? "All" : "");
  return exchange_json(request);
}

ApiResult<Node> Client::apply(const Resource& resource, const Node& object, const ApplyOptions& options,
                              const RequestLimits& limits) {
  const ObjectName name = name_of(object);
  TRY(check_name(name, resource.namespaced));
  if (options.manager.empty())
    return std::unexpected(
        ApiError(base::Error{.kind = ErrorKind::kInvalid, .what = "apply needs a field manager"}));
  Request request{.method = "PATCH",
                  .path = resource.path(name.ns, name.name, options.subresource),
                  .content_type = "application/apply-patch+yaml",
                  .body = objects::to_json(object, 0),
                  .limits = limits};
  add_query(request.path, "fieldManager", options.manager);
  add_query(request.path, "force", options.force ? "true" : "");
  add_query(request.path, "dryRun", options.dry_run ? "All" : "");
  add_query(request.path, "fieldValidation", options.validation);
  return exchange_json(request);
}

ApiResult<Node> Client::merge_patch(const Resource& resource, std::string_view ns, std::string_view name,
                                    const Node& patch, const WriteOptions& options,
                                    const RequestLimits& limits) {
  TRY(check_name({std::string(ns), std::string(name)}, resource.namespaced));
  Request request{.method = "PATCH",
                  .path = resource.path(ns, name, options.subresource),
                  .content_type = "application/merge-patch+json",
                  .body = objects::to_json(patch, 0),
                  .limits = limits};
  add_query(request.path, "fieldManager", options.manager);
  add_query(request.path, "dryRun", options.dry_run ? "All" : "");
  return exchange_json(request);
}

ApiResult<Node> Client::remove(const Resource& resource, std::string_view ns, std::string_view name,
                               const DeleteOptions& options, const RequestLimits& limits) {
  TRY(check_name({std::string(ns), std::string(name)}, resource.namespaced));
  Node body = Node::mapping();
  body.set("apiVersion", Node::string("v1"));
  body.set("kind", Node::string("DeleteOptions"));
  if (!options.propagation.empty()) body.set("propagationPolicy", Node::string(options.propagation));
  if (!options.uid.empty()) body["preconditions"].set("uid", Node::string(options.uid));
  if (options.dry_run) body["dryRun"].append(Node::string("All"));
  return exchange_json({.method = "DELETE",
                        .path = resource.path(ns, name),
                        .content_type = "application/json",
                        .body = objects::to_json(body, 0),
                        .limits = limits});
}

}  // namespace weft::kube
