#pragma once
#include <functional>
#include <memory>

#include "bpf/abi/weft_abi.h"
#include "userspace-proxy/base/result.h"

struct ring_buffer;

namespace weft::kernel {

// Reads the hooks' ring buffer: refusals and denials, for the log and the status only. A full buffer loses
// events, counted by the hooks. Owner: the agent's log thread; one reader a node.
class EventReader {
 public:
  using Handler = std::function<void(const weft_event&)>;

  // `map` is Kernel::events_map(); it is not taken.
  static base::Result<std::unique_ptr<EventReader>> open(int map, Handler handler);
  ~EventReader();
  EventReader(const EventReader&) = delete;
  EventReader& operator=(const EventReader&) = delete;

  // Readable when events wait; for an epoll set.
  [[nodiscard]] int fd() const;
  // Calls the handler for all that wait; returns how many.
  base::Result<unsigned> consume();

 private:
  explicit EventReader(Handler handler) : handler_(std::move(handler)) {}
  static int take(void* self, void* data, size_t size);

  Handler handler_;
  ring_buffer* ring_ = nullptr;
};

}  // namespace weft::kernel
