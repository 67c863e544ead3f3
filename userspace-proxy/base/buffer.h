#pragma once
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace weft::base {

// A bounded byte queue in one block: written at the back, read at the front. Holds no memory while it is empty
// and has been released, so an idle connection costs nothing. Never grows beyond `capacity`.
class Buffer {
 public:
  explicit Buffer(size_t capacity) : capacity_(capacity) {}

  [[nodiscard]] size_t size() const { return end_ - begin_; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] size_t capacity() const { return capacity_; }
  [[nodiscard]] size_t room() const { return capacity_ - size(); }
  [[nodiscard]] std::string_view view() const { return {block_.get() + begin_, size()}; }

  // Space for new bytes, contiguous, all of room(). Moves what is held to the front when that is needed.
  [[nodiscard]] std::span<char> writable() {
    if (!block_) block_ = std::make_unique_for_overwrite<char[]>(capacity_);
    if (begin_ != 0) {
      std::memmove(block_.get(), block_.get() + begin_, size());
      end_ -= begin_;
      begin_ = 0;
    }
    return {block_.get() + end_, capacity_ - end_};
  }
  // REQUIRES: n <= the size of the span writable() gave.
  void commit(size_t n) { end_ += n; }
  // REQUIRES: n <= size().
  void consume(size_t n) {
    begin_ += n;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  // False, and nothing is taken, when `bytes` do not fit.
  [[nodiscard]] bool append(std::string_view bytes) {
    if (bytes.size() > room()) return false;
    std::memcpy(writable().data(), bytes.data(), bytes.size());
    commit(bytes.size());
    return true;
  }
  // Gives the block back when nothing is in it.
  void release_if_empty() {
    if (empty()) block_.reset();
  }
  void clear() { begin_ = end_ = 0; }

 private:
  size_t capacity_;
  size_t begin_ = 0, end_ = 0;
  std::unique_ptr<char[]> block_;
};

}  // namespace weft::base
