#include "userspace-proxy/feed/feed.h"

#include "userspace-proxy/feed/channel.h"

namespace weft::feed {

Feed::Feed(base::Loop& loop, FeedEvents& events, FeedOptions options)
    : channel_(std::make_unique<Channel>(loop, events, std::move(options))) {}

Feed::~Feed() = default;

void Feed::start() {
  channel_->connect();
}

void Feed::report_stock(const model::StockKey& key, uint32_t level, uint64_t taken) {
  channel_->loop().post([this, key, level, taken] { channel_->report_stock(key, level, taken); });
}

void Feed::request_certificate(const model::CertificateRequest& request) {
  channel_->send(request);
}

void Feed::need_identity(const model::SpiffeId& identity) {
  channel_->send(model::IdentityNeeded{identity});
}

bool Feed::connected() const {
  return channel_->connected();
}

const FeedCounters& Feed::counters() const {
  return channel_->counters();
}

}  // namespace weft::feed
