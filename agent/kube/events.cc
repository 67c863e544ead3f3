#include "agent/kube/events.h"

#include <pthread.h>

namespace weft::kube {
namespace {

constexpr std::chrono::seconds kLookForSeries{5};

const Resource& events() {
  static const Resource kEvents = *known_resource("events.k8s.io/v1", "Event");
  return kEvents;
}

}  // namespace

EventRecorder::EventRecorder(Client& client, const base::Clock& clock, EventOptions options)
    : client_(client), clock_(clock), max_queue_(options.max_queue), ledger_(std::move(options), counters_) {
  thread_ = std::thread([this] { run(); });
}

EventRecorder::~EventRecorder() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void EventRecorder::record(Happening happening) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= max_queue_) {
      counters_.dropped.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    queue_.push_back(std::move(happening));
  }
  wake_.notify_all();
}

void EventRecorder::run() {
  pthread_setname_np(pthread_self(), "kube-events");
  std::optional<base::Instant> until;  // once it is to end
  while (true) {
    std::deque<Happening> batch;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kLookForSeries, [this] { return stopping_ || !queue_.empty(); });
      batch.swap(queue_);
      if (stopping_ && !until) until = clock_.now() + kLinger;
    }
    for (const Happening& happening : batch) {
      if (until && clock_.now() >= *until) return;
      if (const auto one = ledger_.add(happening, clock_.now(), clock_.wall_now())) write(*one);
    }
    for (const EventWrite& series : ledger_.due(clock_.now())) {
      if (until && clock_.now() >= *until) return;
      write(series);
    }
    if (until && batch.empty()) return;
  }
}

void EventRecorder::write(const EventWrite& event) {
  const RequestLimits limits{.deadline = kLinger, .retries = 2};
  const auto answer = event.create
                          ? client_.create_object(events(), event.ns, event.object, {}, limits)
                          : client_.merge_patch(events(), event.ns, event.name, event.object, {}, limits);
  if (answer) {
    counters_.written.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  counters_.failed.fetch_add(1, std::memory_order_relaxed);
  // Not there: it was never stored, or has expired. Its next happening is a new Event.
  if (event.create || answer.error().not_found()) ledger_.forget(event.ns, event.name);
}

}  // namespace weft::kube
