#pragma once
#include <cstdint>
#include <memory>

#include "agent/kernel/events.h"
#include "userspace-proxy/base/loop.h"
#include "userspace-proxy/model/snapshot.h"

namespace weft::agent {

// Says in the log what the hooks refused and which rule decided: at most kLinesPerSecond lines, the rest is
// counted. Owner: the node role. Thread: the control loop's.
class EventLog final : private base::IoHandler {
 public:
  static constexpr uint64_t kLinesPerSecond = 20;

  static base::Result<std::unique_ptr<EventLog>> create(base::Loop& loop, int events_map);
  ~EventLog() override;

  // Where rule ids have their names.
  void set_snapshot(model::SnapshotPtr snapshot) { snapshot_ = std::move(snapshot); }
  // A connection that was open and is not admitted any more: always a line.
  void say_cut(const weft_event& event) const;
  [[nodiscard]] uint64_t events() const { return events_; }
  [[nodiscard]] uint64_t unsaid() const { return unsaid_; }

 private:
  explicit EventLog(base::Loop& loop) : loop_(loop) {}
  void on_io(uint32_t events) override;
  void say(const weft_event& event);
  [[nodiscard]] std::string decided_by(const weft_event& event) const;
  [[nodiscard]] std::string sentence(const weft_event& event) const;
  [[nodiscard]] std::string rule_name(uint32_t rule_id) const;
  [[nodiscard]] const model::LocalPod* pod_at(const base::Address& address) const;

  base::Loop& loop_;
  std::unique_ptr<kernel::EventReader> reader_;
  model::SnapshotPtr snapshot_;
  uint64_t events_ = 0, unsaid_ = 0, lines_ = 0;
  base::Instant window_{};
};

}  // namespace weft::agent
