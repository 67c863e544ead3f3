#pragma once
// Single requests to an API server: read, list, create, apply, patch, replace, delete. Blocking.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kube/config.h"
#include "agent/kube/error.h"
#include "agent/kube/resource.h"
#include "agent/objects/node.h"
#include "userspace-proxy/base/clock.h"

namespace weft::kube {

class Target;

struct RequestLimits {
  base::Nanos deadline = std::chrono::seconds(30);  // with all its repetitions
  size_t max_body = 4u << 20;                       // of an answer; lists have ListOptions::max_chunk
  int retries = 5;                                  // after 429, and after 5xx that says Retry-After
};

struct ListOptions {
  std::string ns;  // empty: all
  std::string label_selector, field_selector;
  uint32_t chunk = 500;  // objects an answer; halved where an answer is longer than max_chunk
  size_t max_chunk = 64u << 20;
};

struct ApplyOptions {
  std::string manager;      // fieldManager, required
  bool force = false;       // take fields from other managers; without it a conflict is an error (409)
  std::string subresource;  // "status"
  bool dry_run = false;     // nothing is stored; the answer is what would be
  std::string validation;   // fieldValidation: "Strict", "Warn", "Ignore"; empty: the server's default
};

struct WriteOptions {
  std::string manager;  // fieldManager; empty: the server takes it from the user agent
  std::string subresource;
  bool dry_run = false;
};

struct DeleteOptions {
  std::string propagation = "Background";  // or "Foreground", "Orphan"
  std::string uid;                         // only if it is still this one (precondition)
  bool dry_run = false;
};

// A request as it goes out; what the calls below are made of.
struct Request {
  std::string method = "GET";
  std::string path;  // with query
  std::string content_type;
  std::string body;
  RequestLimits limits;
};

struct ClientCounters {
  std::atomic<uint64_t> requests{0};  // with repetitions
  std::atomic<uint64_t> retries{0};   // because the server was busy (429, 5xx with Retry-After)
  std::atomic<uint64_t> failures{0};  // no answer: connection, TLS, time
  std::atomic<uint64_t> refusals{0};  // an answer of 4xx or 5xx, in the end
  std::atomic<uint64_t> bytes{0};     // of answers
};

// Thread: any, also several at once; each call borrows a connection (kept open for the next). Owner: whoever
// made it; it outlives every call. Errors: ApiError with the server's words; without an answer kTimeout,
// kUntrusted (TLS), kLimit (too long an answer), kSystem or kClosed. Nothing is repeated that the server may
// have done already, except reading. REQUIRES: SIGPIPE is ignored in this process.
class Client {
 public:
  static base::Result<std::unique_ptr<Client>> create(Config config, const base::Clock& clock);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] ApiResult<objects::Node> get(const Resource& resource, std::string_view ns,
                                             std::string_view name, const RequestLimits& limits = {});
  // Chunk by chunk; `each` gets one object after the other, apiVersion and kind filled in. An error of its
  // ends the list. Returns the resource version of the list. A continue token that expires on the way is an
  // error (gone()): what was handed out until then is no whole list.
  using Each = std::function<base::Status(objects::Node object)>;
  [[nodiscard]] ApiResult<std::string> list(const Resource& resource, const ListOptions& options,
                                            const Each& each, const RequestLimits& limits = {});
  [[nodiscard]] ApiResult<objects::Node> create_object(const Resource& resource, std::string_view ns,
                                                       const objects::Node& object,
                                                       const WriteOptions& options = {},
                                                       const RequestLimits& limits = {});
  // PUT: with metadata.resourceVersion it fails (conflict()) if somebody was faster.
  [[nodiscard]] ApiResult<objects::Node> replace(const Resource& resource, const objects::Node& object,
                                                 const WriteOptions& options = {},
                                                 const RequestLimits& limits = {});
  // Server-side apply; namespace and name as `object` says. Has to carry apiVersion and kind, must not carry
  // metadata.managedFields.
  [[nodiscard]] ApiResult<objects::Node> apply(const Resource& resource, const objects::Node& object,
                                               const ApplyOptions& options, const RequestLimits& limits = {});
  // RFC 7396
  [[nodiscard]] ApiResult<objects::Node> merge_patch(const Resource& resource, std::string_view ns,
                                                     std::string_view name, const objects::Node& patch,
                                                     const WriteOptions& options = {},
                                                     const RequestLimits& limits = {});
  // The answer is the object (still there, being deleted) or a Status.
  [[nodiscard]] ApiResult<objects::Node> remove(const Resource& resource, std::string_view ns,
                                                std::string_view name, const DeleteOptions& options = {},
                                                const RequestLimits& limits = {});
  // Any request; the body of the answer as it came.
  [[nodiscard]] ApiResult<std::string> exchange(const Request& request);
  [[nodiscard]] ApiResult<objects::Node> exchange_json(const Request& request);

  // Any thread: calls that wait end with kClosed within a second, and so does every later one.
  void stop();
  [[nodiscard]] const ClientCounters& counters() const { return counters_; }
  [[nodiscard]] const Config& config() const { return config_; }

 private:
  struct Answer;
  class Handle;
  Client(Config config, const base::Clock& clock);
  void load(Handle& handle, const Request& request, const std::string& token, base::Nanos left);
  ApiResult<Answer> once(const Request& request, base::Nanos left);
  [[nodiscard]] bool pause(base::Nanos time);
  [[nodiscard]] std::unique_ptr<Handle> borrow();
  void give_back(std::unique_ptr<Handle> handle);
  static int on_progress(void* self, int64_t, int64_t, int64_t,
                         int64_t);  // libcurl's: not 0 ends the transfer

  const Config config_;
  const base::Clock& clock_;
  std::unique_ptr<Target> target_;
  TokenSource token_;
  ClientCounters counters_;
  std::atomic<bool> stopped_{false};
  std::mutex pause_mutex_;  // guards nothing: a condition variable wants one
  std::condition_variable pause_over_;
  base::Mutex mutex_;
  std::vector<std::unique_ptr<Handle>> idle_ GUARDED_BY(mutex_);
};

}  // namespace weft::kube
