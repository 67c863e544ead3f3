#include "agent/kube/reflector.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>

#include "agent/kube/easy.h"
#include "agent/kube/list_watch.h"
#include "userspace-proxy/base/mutex.h"

namespace weft::kube {

using base::ErrorKind;
using base::Instant;
using base::Nanos;

// The thread's loop: starts what is due, lets libcurl work, ends what hangs. Owner: Reflectors.
class Reflectors::Engine {
 public:
  Engine(Config config, const base::Clock& clock, const ReflectorLimits& limits,
         std::unique_ptr<Target> target)
      : config_(std::move(config)),
        clock_(clock),
        limits_(limits),
        target_(std::move(target)),
        token_(config_, clock),
        multi_(curl_multi_init()) {
    CHECK(multi_);
  }
  ~Engine() {
    tasks_.clear();
    curl_multi_cleanup(multi_);
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void add(ReflectorSpec spec, ReflectorSink& sink) {
    tasks_.push_back(std::make_unique<Task>(*this, std::move(spec), sink));
  }
  void run();
  void stop() {
    stopping_ = true;
    curl_multi_wakeup(multi_);
  }
  [[nodiscard]] std::vector<ReflectorStatus> status() const;

 private:
  struct Shown {
    ReflectorState state;
    bool synced = false;
    std::optional<Instant> last_heard;
  };
  struct Task {
    Task(Engine& owner, ReflectorSpec spec, ReflectorSink& sink)
        : engine(owner),
          core(std::move(spec), sink, counters, owner.limits_, Spread::random_seed()),
          easy(curl_easy_init()) {
      CHECK(easy);
    }
    Engine& engine;
    ReflectorCounters counters;
    ListWatch core;
    Easy easy;
    HeaderLines headers;
    char text[CURL_ERROR_SIZE] = {};
    std::optional<base::Error> failure;  // what the core said about a body
    bool running = false;
    Instant due{};  // if not running
    Shown shown;    // guarded by the engine's mutex
  };

  void start(Task& task, Instant now);
  void reap();
  void end(Task& task, const std::optional<base::Error>& failure);
  void cut_idle(Instant now);
  void hurry(Instant now);
  void show(Task& task);
  [[nodiscard]] int wait_ms(Instant now) const;
  static size_t on_header(char* data, size_t, size_t size, void* self);
  static size_t on_body(char* data, size_t, size_t size, void* self);

  const Config config_;
  const base::Clock& clock_;
  const ReflectorLimits limits_;
  const std::unique_ptr<Target> target_;
  TokenSource token_;
  Spread spread_{Spread::random_seed()};
  CURLM* multi_;
  std::atomic<bool> stopping_{false};
  std::vector<std::unique_ptr<Task>> tasks_;  // fixed once the thread runs
  mutable base::Mutex mutex_;                 // guards Task::shown
};

size_t Reflectors::Engine::on_header(char* data, size_t, size_t size, void* self) {
  auto& task = *static_cast<Task*>(self);
  const std::string_view line(data, size);
  if (line != "\r\n" && line != "\n") return size;
  long code = 0;
  curl_easy_getinfo(task.easy.get(), CURLINFO_RESPONSE_CODE, &code);
  if (code < 200) return size;  // an interim answer
  task.core.on_head(static_cast<int>(code), retry_after_of(task.easy.get()), task.engine.clock_.now());
  task.engine.hurry(task.engine.clock_.now());
  task.engine.show(task);
  return size;
}

size_t Reflectors::Engine::on_body(char* data, size_t, size_t size, void* self) {
  auto& task = *static_cast<Task*>(self);
  const auto taken = task.core.on_body({data, size}, task.engine.clock_.now());
  task.engine.show(task);
  if (taken) return size;
  task.failure = taken.error();
  return 0;
}

void Reflectors::Engine::show(Task& task) {
  const base::MutexLock lock(mutex_);
  const ReflectorState& state = task.core.state();
  if (task.shown.state.phase != state.phase || task.shown.state.since != state.since ||
      task.shown.state.why != state.why)
    task.shown.state = state;
  task.shown.synced = task.core.synced();
  task.shown.last_heard = task.core.last_heard();
}

void Reflectors::Engine::start(Task& task, Instant now) {
  const ListWatch::Ask ask = task.core.ask();
  task.failure.reset();
  const auto token = token_.current();
  if (!token) return end(task, token.error());
  CURL* easy = task.easy.get();
  curl_easy_reset(easy);
  prepare(easy, config_, *target_, /*http2=*/true);
  task.headers.clear();
  task.headers.add("Accept: application/json");
  if (!token->empty()) task.headers.add("Authorization: Bearer " + *token);
  task.text[0] = '\0';
  curl_easy_setopt(easy, CURLOPT_URL, target_->url(ask.path).c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, task.headers.get());
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, task.text);
  curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);  // share a connection rather than open another
  curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, ask.fresh ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(ask.deadline / base::Millis(1)));
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &task);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &task);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &task);
  task.core.began(now);
  task.running = true;
  CHECK(curl_multi_add_handle(multi_, easy) == CURLM_OK);
}

// The server answers one: those that found it away need not wait any longer.
void Reflectors::Engine::hurry(Instant now) {
  for (const auto& task : tasks_)
    if (!task->running && task->core.away())
      task->due = std::min(task->due, now + spread_.between(Nanos(0), std::chrono::seconds(1)));
}

void Reflectors::Engine::end(Task& task, const std::optional<base::Error>& failure) {
  if (task.running) curl_multi_remove_handle(multi_, task.easy.get());
  task.running = false;
  const Instant now = clock_.now();
  task.due = now + task.core.on_end(failure, now);
  show(task);
}

void Reflectors::Engine::reap() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    Task* task = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &task);
    long status = 0;
    curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
    if (status == 401) token_.refused();
    std::optional<base::Error> failure = std::move(task->failure);
    if (!failure && code != CURLE_OK)
      failure = transport_error("GET " + target_->url(task->core.spec().resource.path(task->core.spec().ns)),
                                task->easy.get(), code, task->text);
    end(*task, failure);
  }
}

// A server that answers no more may keep its connection open for ever.
void Reflectors::Engine::cut_idle(Instant now) {
  for (const auto& task : tasks_) {
    if (!task->running || !task->core.watching() || now - task->core.active_at() < limits_.idle) continue;
    task->counters.idle_cuts.fetch_add(1, std::memory_order_relaxed);
    end(*task, base::Error{.kind = ErrorKind::kTimeout,
                           .side = base::Side::kDestination,
                           .what = fmt::format("watching {}: the API server has said nothing for {} s",
                                               task->core.spec().resource.plural,
                                               limits_.idle / std::chrono::seconds(1))});
  }
}

int Reflectors::Engine::wait_ms(Instant now) const {
  Nanos wait = std::chrono::seconds(1);
  for (const auto& task : tasks_)
    wait = std::min(wait, task->running ? task->core.active_at() + limits_.idle - now : task->due - now);
  return static_cast<int>(
      std::clamp<int64_t>((wait + base::Millis(1) - Nanos(1)) / base::Millis(1), 0, 1000));
}

void Reflectors::Engine::run() {
  pthread_setname_np(pthread_self(), "kube-watch");
  while (!stopping_) {
    const Instant now = clock_.now();
    for (const auto& task : tasks_)
      if (!task->running && task->due <= now) start(*task, now);
    int running = 0;
    curl_multi_perform(multi_, &running);
    reap();
    cut_idle(clock_.now());
    curl_multi_poll(multi_, nullptr, 0, wait_ms(clock_.now()), nullptr);
  }
  for (const auto& task : tasks_)
    if (std::exchange(task->running, false)) curl_multi_remove_handle(multi_, task->easy.get());
}

std::vector<ReflectorStatus> Reflectors::Engine::status() const {
  std::vector<ReflectorStatus> out;
  const Instant now = clock_.now();
  const base::MutexLock lock(mutex_);
  for (const auto& task : tasks_)
    out.push_back({.spec = task->core.spec(),
                   .state = task->shown.state,
                   .synced = task->shown.synced,
                   .last_heard = task->shown.last_heard ? now - *task->shown.last_heard : Nanos(-1),
                   .counters = &task->counters});
  return out;
}

base::Result<std::unique_ptr<Reflectors>> Reflectors::create(Config config, const base::Clock& clock,
                                                             const ReflectorLimits& limits) {
  init_curl();
  TRY_ASSIGN(auto target, Target::create(config));
  auto engine = std::make_unique<Engine>(std::move(config), clock, limits, std::move(target));
  return std::unique_ptr<Reflectors>(new Reflectors(std::move(engine)));
}

Reflectors::Reflectors(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

Reflectors::~Reflectors() {
  stop();
}

void Reflectors::add(ReflectorSpec spec, ReflectorSink& sink) {
  CHECK(!thread_.joinable());
  engine_->add(std::move(spec), sink);
}

void Reflectors::start() {
  CHECK(!thread_.joinable());
  thread_ = std::thread([this] { engine_->run(); });
}

void Reflectors::stop() {
  engine_->stop();
  if (thread_.joinable()) thread_.join();
}

std::vector<ReflectorStatus> Reflectors::status() const {
  return engine_->status();
}

}  // namespace weft::kube
