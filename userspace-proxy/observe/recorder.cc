#include "userspace-proxy/observe/recorder.h"

#include "userspace-proxy/observe/access_log.h"

namespace weft::observe {

bool Recorder::logs() const {
  return log_.enabled();
}

void Recorder::request_done(const RequestRecord& record) {
  metrics_.request_done(record);
  log_.write(record);
}

void Recorder::connection_done(const ConnRecord& record) {
  metrics_.tcp_closed(record.flow, record.flag);
  log_.write(record);
}

}  // namespace weft::observe
