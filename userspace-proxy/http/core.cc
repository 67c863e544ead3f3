#include "userspace-proxy/http/core.h"

#include <sys/random.h>

#include "userspace-proxy/http/h2_server.h"
#include "userspace-proxy/http/pool.h"

namespace weft::http {

Random::Random() {
  // Fails only where the kernel has no entropy at all; ids then repeat from one start to the next.
  if (getrandom(state_, sizeof state_, 0) != static_cast<ssize_t>(sizeof state_)) state_[0] = 1;
}

uint64_t Random::next() {
  const auto rotate = [](uint64_t x, int k) { return (x << k) | (x >> (64 - k)); };
  const uint64_t result = rotate(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = rotate(state_[3], 45);
  return result;
}

Core::Core(base::Loop& loop_in, connect::Dialer& dialer_in, observe::Recorder& recorder_in,
           const Limits& limits_in)
    : loop(loop_in),
      dialer(dialer_in),
      recorder(recorder_in),
      limits(limits_in),
      read_block(limits_in.read_block),
      spread(static_cast<uint32_t>(random.next())),
      pool(std::make_unique<Pool>(*this)) {}

Core::~Core() {
  loop.forget(this);
}

void Core::flush_later(Session& session) {
  if (session.wants_flush_) return;
  session.wants_flush_ = true;
  to_flush_.push_back(&session);
}

void Core::work_later(Session& session) {
  if (session.wants_work_) return;
  session.wants_work_ = true;
  to_work_.push_back(&session);
}

void Core::work_next_turn(Session& session) {
  if (next_turn_.empty()) loop.again(this);
  next_turn_.push_back(&session);
}

void Core::forget(Session& session) {
  std::erase(next_turn_, &session);
  std::erase(to_flush_, &session);
  std::erase(to_work_, &session);
}

void Core::on_io(uint32_t /*events*/) {
  Turn turn(*this);
  for (Session* session : std::exchange(next_turn_, {})) work_later(*session);
}

void Core::end_turn() {
  while (!to_work_.empty() || !to_flush_.empty()) {
    // Writing first: what others wait for should not wait for more parsing.
    if (!to_flush_.empty()) {
      Session* session = to_flush_.back();
      to_flush_.pop_back();
      session->wants_flush_ = false;
      session->flush();
      continue;
    }
    Session* session = to_work_.back();
    to_work_.pop_back();
    session->wants_work_ = false;
    session->work();
  }
}

Engine::Engine(base::Loop& loop, connect::Dialer& dialer, observe::Recorder& recorder, const Limits& limits)
    : core_(std::make_unique<Core>(loop, dialer, recorder, limits)) {}

Engine::~Engine() = default;

void Engine::drain() {
  core_->pool->drain();
}

}  // namespace weft::http
