#pragma once
// Memory for cipher text on its way. A connection holds a block only while bytes wait in it; a worker keeps a few
// free ones, so that bytes that flow allocate nothing.
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace weft::tls {

// Four full records of 16 KiB plain text with their headers and tags, and room for a few small ones.
inline constexpr size_t kRecordPlain = 16 * 1024;
inline constexpr size_t kRecordOverhead = 22;  // header 5, content type 1, tag 16: RFC 8446 5.2
inline constexpr size_t kBlockPlain = 4 * kRecordPlain;
inline constexpr size_t kBlockSize = kBlockPlain + 4 * kRecordOverhead + 2048;

class Blocks {
 public:
  static constexpr size_t kKeep = 16;
  [[nodiscard]] std::unique_ptr<char[]> take() {
    if (free_.empty()) return std::make_unique_for_overwrite<char[]>(kBlockSize);
    auto block = std::move(free_.back());
    free_.pop_back();
    return block;
  }
  void give(std::unique_ptr<char[]> block) {
    if (free_.size() < kKeep) free_.push_back(std::move(block));
  }

 private:
  std::vector<std::unique_ptr<char[]>> free_;
};

// A byte queue in one borrowed block: written at the back, read at the front, nothing ever moved.
class Block {
 public:
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] std::string_view view() const { return {memory_.get() + begin_, end_ - begin_}; }
  [[nodiscard]] size_t room() const { return kBlockSize - end_; }
  [[nodiscard]] std::span<char> writable(Blocks& blocks) {
    if (!memory_) memory_ = blocks.take();
    return {memory_.get() + end_, kBlockSize - end_};
  }
  void commit(size_t n) { end_ += n; }
  void consume(size_t n) {
    begin_ += n;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void release_if_empty(Blocks& blocks) {
    if (memory_ && empty()) blocks.give(std::move(memory_));
  }
  void drop(Blocks& blocks) {
    begin_ = end_ = 0;
    release_if_empty(blocks);
  }

 private:
  std::unique_ptr<char[]> memory_;
  size_t begin_ = 0, end_ = 0;
};

}  // namespace weft::tls
