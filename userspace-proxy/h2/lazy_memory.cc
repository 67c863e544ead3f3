#include "userspace-proxy/h2/lazy_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace weft::h2 {
namespace {

constexpr size_t kLarge = 16 * 1024;
constexpr size_t kMost = SIZE_MAX / 2;

// In front of every piece.
struct alignas(16) Head {
  size_t size;    // of the piece
  size_t mapped;  // of the mapping; 0: from malloc
};

Head* head_of(void* piece) {
  return static_cast<Head*>(piece) - 1;
}

void* fill(void* memory, size_t size, size_t mapped) {
  if (memory == nullptr) return nullptr;
  auto* const head = static_cast<Head*>(memory);
  *head = {size, mapped};
  return head + 1;
}

void* take(size_t size, void*) {
  if (size > kMost) return nullptr;
  if (size < kLarge) return fill(std::malloc(size + sizeof(Head)), size, 0);
  const size_t length = size + sizeof(Head);
  void* const pages = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? nullptr : fill(pages, size, length);
}

void give(void* piece, void*) {
  if (piece == nullptr) return;
  Head* const head = head_of(piece);
  if (head->mapped == 0) return std::free(head);
  munmap(head, head->mapped);
}

void* take_zeroed(size_t count, size_t size, void* user) {
  size_t total = 0;
  if (__builtin_mul_overflow(count, size, &total)) return nullptr;
  void* const piece = take(total, user);
  if (piece != nullptr && head_of(piece)->mapped == 0) std::memset(piece, 0, total);
  return piece;
}

void* resize(void* piece, size_t size, void* user) {
  if (piece == nullptr) return take(size, user);
  Head* const head = head_of(piece);
  if (head->mapped == 0 && size < kLarge) return fill(std::realloc(head, size + sizeof(Head)), size, 0);
  void* const larger = take(size, user);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, piece, std::min(size, head->size));
  give(piece, user);
  return larger;
}

}  // namespace

nghttp2_mem* lazy_memory() {
  static nghttp2_mem memory = {nullptr, take, give, take_zeroed, resize};
  return &memory;
}

}  // namespace weft::h2
