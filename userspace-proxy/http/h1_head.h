#pragma once
// HTTP/1 heads: finding the end of one, and taking it apart. The grammar is llhttp's (strict); this file adds
// what llhttp lets through (http-semantics 12, duties 1-5 and 7-10). The one door to llhttp is h1_parser.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "userspace-proxy/http/limits.h"
#include "userspace-proxy/http/message.h"

namespace weft::http {

// A refusal: the status a source gets (a destination's fault is always 502), and the word for the access log.
struct H1Error {
  uint16_t status = 0;  // 0: none
  std::string_view details;
  explicit operator bool() const { return status != 0; }
};

// Where the lines of a head end. Shared scratch of a worker, filled by scan_head() and used at once by the
// parser.
struct HeadLines {
  static constexpr size_t kMax = 130;  // first line, fields, the empty line
  std::array<uint32_t, kMax> ends;     // offset behind each CRLF
  size_t count = 0;
};

struct HeadScan {
  enum class Kind : uint8_t { kNeedMore, kComplete, kError };
  Kind kind = Kind::kNeedMore;
  size_t length = 0;  // of the head with its empty line, kComplete
  H1Error error;
};

// Looks for the empty line that ends a head (or a block of trailers) at the start of `input`, and refuses
// bare CR, bare LF, folded lines and empty names on the way. `checked` is where an earlier look stopped:
// start with 0.
[[nodiscard]] HeadScan scan_head(std::string_view input, size_t& checked, bool has_first_line,
                                 size_t max_bytes, size_t max_fields, HeadLines& lines);

// Splits lines [from, count - 1) of `bytes` into fields. REQUIRES: bytes passed scan_head() and the grammar.
void split_fields(std::string_view bytes, const HeadLines& lines, size_t from, Fields& fields);

// REQUIRES: `bytes` is one head that passed scan_head() and llhttp. `chunked` and `content_length` are
// llhttp's word.
struct Framing {
  bool chunked = false;
  bool has_length = false;
  uint64_t length = 0;
};
[[nodiscard]] H1Error read_request(std::string_view bytes, const HeadLines& lines, const Framing& framing,
                                   RequestHead& head);
// `method` is that of the request being answered.
[[nodiscard]] H1Error read_response(std::string_view bytes, const HeadLines& lines, const Framing& framing,
                                    std::string_view method, bool upgrade_asked, ResponseHead& head);

// A name or address with an optional port, and nothing else.
[[nodiscard]] bool valid_authority(std::string_view authority);

}  // namespace weft::http
