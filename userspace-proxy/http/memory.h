#pragma once
// Memory of the request path: blocks that one worker lends to its streams and takes back, so that an idle
// connection holds none and a busy worker touches the same few cache lines again and again.
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace weft::http {

// A stack of free blocks of one size. One per worker and size; thread: the worker's.
class BlockPool {
 public:
  BlockPool(size_t block_size, size_t keep) : block_size_(block_size), keep_(keep) {}

  [[nodiscard]] size_t block_size() const { return block_size_; }
  [[nodiscard]] std::unique_ptr<char[]> take() {
    if (free_.empty()) return std::make_unique_for_overwrite<char[]>(block_size_);
    auto block = std::move(free_.back());
    free_.pop_back();
    return block;
  }
  void give(std::unique_ptr<char[]> block) {
    if (free_.size() < keep_) free_.push_back(std::move(block));
  }

 private:
  size_t block_size_, keep_;
  std::vector<std::unique_ptr<char[]>> free_;
};

// Bump allocation for what lives as long as one request: its head and what is made of it. Everything goes at
// once.
class Arena {
 public:
  explicit Arena(BlockPool& pool) : pool_(pool) {}
  ~Arena() { reset(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  [[nodiscard]] char* allocate(size_t size) {
    if (size > left_) return more(size);
    char* out = next_;
    next_ += size;
    left_ -= size;
    return out;
  }
  [[nodiscard]] std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* out = allocate(text.size());
    std::memcpy(out, text.data(), text.size());
    return {out, text.size()};
  }
  void reset() {
    for (auto& block : blocks_) pool_.give(std::move(block));
    blocks_.clear();
    large_.clear();
    next_ = nullptr;
    left_ = 0;
  }

 private:
  [[nodiscard]] char* more(size_t size) {
    if (size > pool_.block_size() / 2)
      return large_.emplace_back(std::make_unique_for_overwrite<char[]>(size)).get();
    next_ = blocks_.emplace_back(pool_.take()).get() + size;
    left_ = pool_.block_size() - size;
    return next_ - size;
  }

  BlockPool& pool_;
  std::vector<std::unique_ptr<char[]>> blocks_, large_;
  char* next_ = nullptr;
  size_t left_ = 0;
};

// Bytes written at the back and read at the front, in one piece. Holds a pooled block while it is small, its
// own memory when it has to grow, nothing when it is empty. Whoever appends keeps it bounded.
class Queue {
 public:
  explicit Queue(BlockPool& pool) : pool_(pool) {}
  ~Queue() { clear(); }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  [[nodiscard]] size_t size() const { return end_ - begin_; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] std::string_view view() const { return {block_.get() + begin_, size()}; }

  // Room for `size` more bytes at the back; commit() says how many were written.
  [[nodiscard]] char* room(size_t size) {
    if (capacity_ - end_ < size) make_room(size);
    return block_.get() + end_;
  }
  void commit(size_t size) { end_ += size; }
  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(room(bytes.size()), bytes.data(), bytes.size());
    commit(bytes.size());
  }
  void consume(size_t size) {
    begin_ += size;
    if (begin_ == end_) clear();
  }
  void clear() {
    if (capacity_ == pool_.block_size()) pool_.give(std::move(block_));
    block_.reset();
    begin_ = end_ = capacity_ = 0;
  }

 private:
  void make_room(size_t size) {
    const size_t held = this->size();
    if (begin_ != 0 && capacity_ - held >= size) {
      std::memmove(block_.get(), block_.get() + begin_, held);
    } else {
      size_t capacity = pool_.block_size();
      while (capacity < held + size) capacity *= 2;
      auto block =
          capacity == pool_.block_size() ? pool_.take() : std::make_unique_for_overwrite<char[]>(capacity);
      if (held != 0) std::memcpy(block.get(), block_.get() + begin_, held);
      if (capacity_ == pool_.block_size()) pool_.give(std::move(block_));
      block_ = std::move(block);
      capacity_ = capacity;
    }
    begin_ = 0;
    end_ = held;
  }

  BlockPool& pool_;
  std::unique_ptr<char[]> block_;
  size_t begin_ = 0, end_ = 0, capacity_ = 0;
};

}  // namespace weft::http
