#include "userspace-proxy/connect/stock_dialer.h"

#include "userspace-proxy/connect/attempt.h"

namespace weft::connect {

StockDialer::StockDialer(base::Loop& loop, observe::Counters& counters, StockReports& reports,
                         PortWalk ports)
    : loop_(loop), counters_(counters), reports_(reports), ports_(ports), report_timer_(loop.timers(), [this] {
        if (stock_.changed()) reports_.on_stock_changes(stock_.draw_changes());
      }) {}

StockDialer::~StockDialer() = default;

std::unique_ptr<Dial> StockDialer::dial(const DialTarget& target, DialHandler& handler) {
  CHECK(!target.identity);  // plain TCP proves nobody
  attempts_.push_front(std::make_unique<Attempt>(*this, target, handler));
  Attempt& attempt = *attempts_.front();
  attempt.place = attempts_.begin();
  return attempt.begin();
}

void StockDialer::add_stock(const model::StockKey& key, std::vector<base::Fd> sockets) {
  stock_.add(key, std::move(sockets));
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    const auto current = next++;
    if ((*current)->pod() == key.pod.name && (*current)->try_again()) waiting_.erase(current);
  }
  report_if_due();
}

std::optional<base::Fd> StockDialer::take(std::string_view pod, bool inbound, bool v4) {
  auto taken = stock_.take(pod, inbound ? model::StockKind::kInbound : model::StockKind::kOutbound,
                           v4 ? model::Family::kV4 : model::Family::kV6);
  report_if_due();
  return taken;
}

void StockDialer::report_if_due() {
  if (stock_.low()) return reports_.on_stock_changes(stock_.draw_changes());
  if (stock_.changed() && !report_timer_.armed()) report_timer_.arm(kReportEvery);
}

void StockDialer::forget(Attempt& attempt) {
  auto dying = std::move(*attempt.place);
  attempts_.erase(attempt.place);
  loop_.retire(std::move(dying));
}

}  // namespace weft::connect
