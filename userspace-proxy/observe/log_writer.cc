#include "userspace-proxy/observe/log_writer.h"

#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace weft::observe {
namespace {

constexpr int kStuckAfterMs = 1000;

bool is_regular(int fd) {
  struct stat info{};
  return fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

}  // namespace

LogWriter::LogWriter(base::Fd out)
    : out_(std::move(out)), regular_file_(is_regular(out_.get())), thread_([this] { run(); }) {}

LogWriter::~LogWriter() {
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

bool LogWriter::take(std::string chunk) {
  {
    base::MutexLock lock(mutex_);
    if (pending_bytes_ + chunk.size() > kMaxPending) return false;
    pending_bytes_ += chunk.size();
    pending_.push_back(std::move(chunk));
  }
  wake_.notify_one();
  return true;
}

void LogWriter::run() {
  while (true) {
    std::vector<std::string> chunks;
    {
      base::MutexLock lock(mutex_);
      while (pending_.empty() && !stopping_) wake_.wait(mutex_);
      if (pending_.empty()) return;
      chunks.swap(pending_);
    }
    size_t written = 0;
    for (const auto& chunk : chunks) {
      if (!write_all(chunk)) chunks_lost_.fetch_add(1, std::memory_order_relaxed);
      written += chunk.size();
    }
    base::MutexLock lock(mutex_);
    pending_bytes_ -= written;
  }
}

bool LogWriter::write_all(std::string_view chunk) {
  while (!chunk.empty()) {
    pollfd ready{.fd = out_.get(), .events = POLLOUT, .revents = 0};
    if (!regular_file_ && poll(&ready, 1, kStuckAfterMs) <= 0) return false;
    const size_t piece = regular_file_ ? chunk.size() : std::min<size_t>(chunk.size(), PIPE_BUF);
    const ssize_t n = ::write(out_.get(), chunk.data(), piece);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    chunk.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace weft::observe
