#include "userspace-proxy/tls/linger.h"

#include <algorithm>
#include <array>

#include "userspace-proxy/base/timer.h"

namespace weft::tls {

using base::Io;

class Lingerers::Linger final : public base::Retirable, private base::TransportHandler {
 public:
  Linger(Lingerers& owner, base::Loop& loop, std::unique_ptr<base::Transport> inner, Block rest, bool then_end)
      : loop_(loop),
        owner_(owner),
        inner_(std::move(inner)),
        rest_(std::move(rest)),
        then_end_(then_end),
        timer_(loop.timers(), [this] { owner_.done(this); }) {}
  ~Linger() override { rest_.drop(owner_.blocks_); }

  void start(base::Nanos most) {
    timer_.arm(most);
    if (!inner_->attach(loop_, this)) return finish();
    on_readable();
    on_writable();
  }
  [[nodiscard]] base::Loop& loop() { return loop_; }

 private:
  void on_writable() override {
    if (finished_) return;
    while (!rest_.empty()) {
      const iovec piece{const_cast<char*>(rest_.view().data()), rest_.view().size()};
      const Io io = inner_->write({&piece, 1});
      if (io.kind == Io::Kind::kWouldBlock) return;
      if (io.kind != Io::Kind::kBytes) return finish();
      rest_.consume(io.bytes);
    }
    if (then_end_) inner_->shutdown_write();
    finish();
  }
  // What the peer still sends is thrown away: unread bytes would turn our end into a reset.
  void on_readable() override {
    if (finished_) return;
    std::array<char, 4096> nowhere;
    for (int i = 0; i < 16; ++i) {
      const Io io = inner_->read(nowhere);
      if (io.kind == Io::Kind::kError) return finish();
      if (io.kind != Io::Kind::kBytes) return;
    }
  }
  void finish() {
    if (finished_) return;
    finished_ = true;
    owner_.done(this);
  }

  base::Loop& loop_;
  Lingerers& owner_;
  std::unique_ptr<base::Transport> inner_;
  Block rest_;
  bool then_end_;
  bool finished_ = false;
  base::Timer timer_;
};

Lingerers::Lingerers(Blocks& blocks) : blocks_(blocks) {}
Lingerers::~Lingerers() = default;

void Lingerers::take(base::Loop& loop, std::unique_ptr<base::Transport> inner, Block rest, bool then_end,
                     base::Nanos most) {
  if (held_.size() >= kMost) {
    rest.drop(blocks_);
    return;
  }
  auto& linger = held_.emplace_back(
      std::make_unique<Linger>(*this, loop, std::move(inner), std::move(rest), then_end));
  linger->start(most);
}

void Lingerers::done(Linger* linger) {
  const auto found = std::ranges::find_if(held_, [&](const auto& held) { return held.get() == linger; });
  if (found == held_.end()) return;
  auto gone = std::move(*found);
  held_.erase(found);
  base::Loop& loop = gone->loop();
  loop.retire(std::move(gone));
}

}  // namespace weft::tls
