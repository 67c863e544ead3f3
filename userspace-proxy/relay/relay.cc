#include "userspace-proxy/relay/relay.h"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>

namespace weft::relay {
namespace {

constexpr size_t kPieces = 16;  // taken from a lender at once

// Reads per direction before the others of this worker get their turn.
constexpr int kRoundsPerTurn = 16;

using Row = std::array<bool, static_cast<size_t>(Step::kCount)>;
constexpr std::array<Row, static_cast<size_t>(Step::kCount)> kLegal = {{
    // kOpen, kSourceEnded, kDestinationEnded, kFinished, kReset
    {{false, true, true, false, true}},     // kOpen
    {{false, false, false, true, true}},    // kSourceEnded
    {{false, false, false, true, true}},    // kDestinationEnded
    {{false, false, false, false, false}},  // kFinished
    {{false, false, false, false, false}},  // kReset
}};

// While bytes are held nobody reads, so a reset that comes in behind them would stay unseen.
bool is_broken(const base::Transport& transport) {
  if (transport.raw_fd() < 0) return false;
  pollfd state{.fd = transport.raw_fd(), .events = 0, .revents = 0};
  return poll(&state, 1, 0) > 0 && (state.revents & POLLERR) != 0;
}

}  // namespace

bool legal(Step from, Step to) {
  return kLegal[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

Relay::Relay(base::Loop& loop, const Workbench& bench, std::unique_ptr<base::Transport> source,
             std::unique_ptr<base::Transport> destination, RelayOwner& owner)
    : loop_(loop),
      owner_(owner),
      bench_(bench),
      source_(std::move(source)),
      destination_(std::move(destination)),
      outward_{source_.get(), destination_.get(), Cause::kSourceReset, Cause::kDestinationReset},
      homeward_{destination_.get(), source_.get(), Cause::kDestinationReset, Cause::kSourceReset},
      source_side_(*this, outward_, homeward_),
      destination_side_(*this, homeward_, outward_) {}

Relay::~Relay() {
  if (yielded_) loop_.forget(this);
  end_bulk(outward_);
  end_bulk(homeward_);
}

void Relay::start() {
  if (!source_->attach(loop_, &source_side_) || !destination_->attach(loop_, &destination_side_))
    return break_off(Cause::kAborted, 0);
  pump(outward_);
  pump(homeward_);
}

void Relay::abort() {
  break_off(Cause::kAborted, 0);
}

void Relay::Side::on_readable() {
  relay.pump(reads);
  if (!relay.over() && reads.blocked() && is_broken(*reads.from))
    relay.break_off(reads.from_reset, ECONNRESET);
}

void Relay::Side::on_writable() {
  if (writes.blocked()) relay.pump(writes);
}

void Relay::on_io(uint32_t) {
  yielded_ = false;
  pump(outward_);
  pump(homeward_);
}

void Relay::pump(Lane& lane) {
  lane.stuck = false;
  for (int round = 0; round < kRoundsPerTurn; ++round) {
    if (over() || lane.end_passed) return;
    if (flush_held(lane) == Flow::kWait || empty_pipe(lane) == Flow::kWait) return;
    if (lane.end_seen) return pass_end(lane);
    if ((lane.pipe ? fill_pipe(lane) : read_once(lane)) == Flow::kWait) return;
  }
  if (yielded_) return;
  yielded_ = true;
  loop_.again(this);
}

Relay::Flow Relay::pass_lent(Lane& lane, std::span<const iovec> pieces) {
  const base::Io io = lane.to->write(pieces);
  if (io.kind == base::Io::Kind::kError) break_off(lane.to_reset, io.sys_errno);
  lane.stuck = io.kind != base::Io::Kind::kBytes;
  if (lane.stuck) return Flow::kWait;
  lane.bytes += io.bytes;
  lane.from->consume(io.bytes);
  return Flow::kGoOn;
}

Relay::Flow Relay::read_once(Lane& lane) {
  std::array<iovec, kPieces> pieces;
  if (const size_t count = lane.from->lend(pieces); count > 0) return pass_lent(lane, std::span(pieces).first(count));
  const base::Io io = lane.from->read(bench_.scratch);
  switch (io.kind) {
    case base::Io::Kind::kWouldBlock:
      return Flow::kWait;
    case base::Io::Kind::kEnd:
      lane.end_seen = true;
      return Flow::kGoOn;
    case base::Io::Kind::kError:
      break_off(lane.from_reset, io.sys_errno);
      return Flow::kWait;
    case base::Io::Kind::kBytes:
      break;
  }
  const Flow flow = write_out(lane, bench_.scratch.first(io.bytes));
  if (flow == Flow::kGoOn && io.bytes == bench_.scratch.size()) begin_bulk(lane);
  return flow;
}

void Relay::begin_bulk(Lane& lane) {
  if (lane.from->raw_fd() >= 0 && lane.to->raw_fd() >= 0) lane.pipe = bench_.pipes.take();
}

void Relay::end_bulk(Lane& lane) {
  if (!lane.pipe) return;
  bench_.pipes.give_back(std::move(*lane.pipe), lane.in_pipe == 0);
  lane.pipe.reset();
  lane.in_pipe = 0;
}

// REQUIRES: the pipe is there and empty.
Relay::Flow Relay::fill_pipe(Lane& lane) {
  const ssize_t n = ::splice(lane.from->raw_fd(), nullptr, lane.pipe->writer.get(), nullptr, Pipes::kCapacity,
                             SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n > 0) {
    lane.in_pipe = static_cast<size_t>(n);
    return Flow::kGoOn;
  }
  const int error = n < 0 ? errno : 0;
  end_bulk(lane);
  lane.end_seen = n == 0;
  if (lane.end_seen) return Flow::kGoOn;
  if (error == EINTR) return Flow::kGoOn;
  if (error != EAGAIN) break_off(lane.from_reset, error);
  return Flow::kWait;
}

Relay::Flow Relay::empty_pipe(Lane& lane) {
  while (lane.in_pipe > 0) {
    const ssize_t n = ::splice(lane.pipe->reader.get(), nullptr, lane.to->raw_fd(), nullptr, lane.in_pipe,
                               SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return Flow::kWait;
    if (n <= 0) {
      break_off(lane.to_reset, n < 0 ? errno : EPIPE);
      return Flow::kWait;
    }
    lane.bytes += static_cast<size_t>(n);
    lane.in_pipe -= static_cast<size_t>(n);
  }
  return Flow::kGoOn;
}

// Writes what the other side takes and holds the rest.
Relay::Flow Relay::write_out(Lane& lane, std::span<const char> bytes) {
  while (!bytes.empty()) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    const base::Io io = lane.to->write({&piece, 1});
    if (io.kind == base::Io::Kind::kError) {
      break_off(lane.to_reset, io.sys_errno);
      return Flow::kWait;
    }
    if (io.kind != base::Io::Kind::kBytes) {
      lane.held = base::Buffer(bytes.size());
      CHECK(lane.held.append({bytes.data(), bytes.size()}));
      return Flow::kWait;
    }
    lane.bytes += io.bytes;
    bytes = bytes.subspan(io.bytes);
  }
  return Flow::kGoOn;
}

Relay::Flow Relay::flush_held(Lane& lane) {
  while (!lane.held.empty()) {
    const auto view = lane.held.view();
    const iovec piece{const_cast<char*>(view.data()), view.size()};
    const base::Io io = lane.to->write({&piece, 1});
    if (io.kind == base::Io::Kind::kError) break_off(lane.to_reset, io.sys_errno);
    if (io.kind != base::Io::Kind::kBytes) return Flow::kWait;
    lane.bytes += io.bytes;
    lane.held.consume(io.bytes);
    if (lane.held.empty()) lane.held = base::Buffer(0);
  }
  return Flow::kGoOn;
}

void Relay::pass_end(Lane& lane) {
  lane.to->shutdown_write();
  lane.end_passed = true;
  const bool both = outward_.end_passed && homeward_.end_passed;
  enter(both ? Step::kFinished : &lane == &outward_ ? Step::kSourceEnded : Step::kDestinationEnded);
}

void Relay::break_off(Cause cause, int sys_errno) {
  if (over()) return;
  cause_ = cause;
  sys_errno_ = sys_errno;
  source_->reset();
  destination_->reset();
  enter(Step::kReset);
}

void Relay::enter(Step step) {
  CHECK(legal(step_, step));
  step_ = step;
  if (over()) owner_.on_relay_end(*this);
}

}  // namespace weft::relay
