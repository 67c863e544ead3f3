#include "agent/kernel/events.h"

#include <bpf/libbpf.h>

#include <cstring>

namespace weft::kernel {

base::Result<std::unique_ptr<EventReader>> EventReader::open(int map, Handler handler) {
  std::unique_ptr<EventReader> reader(new EventReader(std::move(handler)));
  reader->ring_ = ring_buffer__new(map, &EventReader::take, reader.get(), nullptr);
  if (reader->ring_ == nullptr) return base::fail_errno("open the events ring buffer");
  return reader;
}

EventReader::~EventReader() {
  ring_buffer__free(ring_);
}

int EventReader::fd() const {
  return ring_buffer__epoll_fd(ring_);
}

base::Result<unsigned> EventReader::consume() {
  const int count = ring_buffer__consume(ring_);
  if (count < 0) return base::fail_errno(-count, "read the events ring buffer");
  return static_cast<unsigned>(count);
}

int EventReader::take(void* self, void* data, size_t size) {
  // A record of another size comes from a hook of another ABI: not ours to read.
  if (size < sizeof(weft_event)) return 0;
  weft_event event{};
  std::memcpy(&event, data, sizeof event);
  static_cast<EventReader*>(self)->handler_(event);
  return 0;
}

}  // namespace weft::kernel
