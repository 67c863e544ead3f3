#include "tests/support/transport_pair.h"

#include <algorithm>
#include <cerrno>

namespace weft::test {

struct PairEnd::Pipe {
  std::string bytes;
  bool ended = false;  // the writer shut down
  bool reset = false;  // by either side
  PairEnd* reader = nullptr;
  PairEnd* writer = nullptr;
};

PairEnd::PairEnd(std::shared_ptr<Faults> faults, std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out)
    : faults_(std::move(faults)), in_(std::move(in)), out_(std::move(out)) {
  in_->reader = this;
  out_->writer = this;
}

PairEnd::~PairEnd() {
  if (loop_ != nullptr) loop_->forget(this);
  // Closing with unread bytes resets, as TCP does; otherwise it ends.
  const bool hard = !in_->bytes.empty();
  in_->reader = nullptr;
  out_->writer = nullptr;
  out_->ended = true;
  in_->reset = true;  // whoever writes to us now
  if (hard) out_->reset = true;
  if (out_->reader != nullptr) out_->reader->wake();
}

base::Status PairEnd::attach(base::Loop& loop, base::TransportHandler* handler) {
  loop_ = &loop;
  handler_ = handler;
  wake();
  return {};
}

void PairEnd::wake() {
  if (loop_ == nullptr || waking_) return;
  waking_ = true;
  loop_->again(this);
}

void PairEnd::on_io(uint32_t /*events*/) {
  waking_ = false;
  handler_->on_writable();
  if (loop_ != nullptr) handler_->on_readable();
}

base::Io PairEnd::read(std::span<char> into) {
  if (in_->bytes.empty()) {
    if (in_->reset && !in_->ended) return {base::Io::Kind::kError, 0, ECONNRESET};
    if (in_->ended) return {base::Io::Kind::kEnd, 0, 0};
    return {base::Io::Kind::kWouldBlock, 0, 0};
  }
  const size_t size = std::min({into.size(), in_->bytes.size(), faults_->most_per_read});
  std::copy_n(in_->bytes.begin(), size, into.begin());
  const bool was_full = in_->bytes.size() >= faults_->room;
  in_->bytes.erase(0, size);
  if (was_full && in_->writer != nullptr) in_->writer->wake();
  return {base::Io::Kind::kBytes, size, 0};
}

base::Io PairEnd::write(std::span<const iovec> from) {
  if (out_->reset) return {base::Io::Kind::kError, 0, EPIPE};
  CHECK(!out_->ended);
  size_t most =
      std::min(faults_->most_per_write, faults_->room - std::min(faults_->room, out_->bytes.size()));
  size_t total = 0, sent = 0;
  for (const auto& piece : from) {
    total += piece.iov_len;
    const size_t size = std::min(most, piece.iov_len);
    out_->bytes.append(static_cast<const char*>(piece.iov_base), size);
    sent += size;
    most -= size;
  }
  if (sent == 0 && total > 0) return {base::Io::Kind::kWouldBlock, 0, 0};
  ++writes_;
  if (out_->reader != nullptr) out_->reader->wake();
  return {base::Io::Kind::kBytes, sent, 0};
}

void PairEnd::shutdown_write() {
  out_->ended = true;
  if (out_->reader != nullptr) out_->reader->wake();
}

void PairEnd::reset() {
  out_->reset = in_->reset = true;
  out_->bytes.clear();
  if (loop_ != nullptr) loop_->forget(this);
  loop_ = nullptr;
  if (out_->reader != nullptr) out_->reader->wake();
}

void PairEnd::send(std::string_view bytes) {
  if (bytes.empty()) return;
  const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
  const size_t before = faults_->most_per_write;
  faults_->most_per_write = SIZE_MAX;
  const auto io = write({&piece, 1});
  faults_->most_per_write = before;
  CHECK(io.kind == base::Io::Kind::kBytes && io.bytes == bytes.size());
}

std::string PairEnd::take() {
  std::string out = std::move(in_->bytes);
  in_->bytes.clear();
  if (in_->writer != nullptr) in_->writer->wake();
  return out;
}

bool PairEnd::at_end() const {
  return in_->bytes.empty() && (in_->ended || in_->reset);
}
bool PairEnd::was_reset() const {
  return in_->reset;
}
size_t PairEnd::unread() const {
  return out_->bytes.size();
}

TransportPair::TransportPair() : faults(std::make_shared<Faults>()) {
  auto there = std::make_shared<PairEnd::Pipe>();
  auto back = std::make_shared<PairEnd::Pipe>();
  near.reset(new PairEnd(faults, back, there));
  far.reset(new PairEnd(faults, there, back));
}

}  // namespace weft::test
