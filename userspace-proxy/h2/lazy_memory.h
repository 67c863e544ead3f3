#pragma once
#include <nghttp2/nghttp2.h>

namespace weft::h2 {

// What nghttp2 allocates with. Each of its sessions has a frame buffer of more than 16 KiB of which, when DATA goes
// past it (NGHTTP2_DATA_FLAG_NO_COPY), only the beginning is ever written: large pieces are pages of their own here,
// and those that nobody touches cost nothing. For ..._new3(); one for all sessions, any thread.
[[nodiscard]] nghttp2_mem* lazy_memory();

}  // namespace weft::h2
