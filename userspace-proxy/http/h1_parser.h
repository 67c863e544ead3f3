#pragma once
// The only door to llhttp: HTTP/1 messages one after the other, head first, then body as spans of the input.
#include <llhttp.h>

#include <string_view>

#include "userspace-proxy/http/h1_head.h"
#include "userspace-proxy/http/memory.h"

namespace weft::http {

// Order of calls: scan() until it says kComplete, then read_request()/read_response() on those bytes, then,
// if the message has a body, next_body() until kEnd; again from the start. After an error the parser is not
// used any more. Owned by one session; keeps no bytes.
class H1Parser {
 public:
  enum class Type : uint8_t { kRequest, kResponse };
  H1Parser(Type type, const Limits& limits, HeadLines& lines);
  // llhttp keeps a pointer to `parser_.data`, which is this object.
  H1Parser(const H1Parser&) = delete;
  H1Parser& operator=(const H1Parser&) = delete;

  [[nodiscard]] HeadScan scan(std::string_view input) {
    return scan_head(input, checked_, true, limits_.head_bytes, limits_.head_fields, lines_);
  }
  // `bytes` is what scan() measured, at the place where the head's views shall point to. No scan() of another
  // parser may come between. `head` must be clear.
  [[nodiscard]] H1Error read_request(std::string_view bytes, RequestHead& head);
  [[nodiscard]] H1Error read_response(std::string_view bytes, std::string_view method, bool upgrade_asked,
                                      ResponseHead& head);

  struct BodyStep {
    enum class Kind : uint8_t { kNeedMore, kBytes, kEnd, kError };
    Kind kind = Kind::kNeedMore;
    size_t consumed = 0;
    std::string_view bytes;  // kBytes: part of the input
    H1Error error;
  };
  // One event. kNeedMore: `consumed` bytes are done with, the rest must come again with more behind it.
  // kEnd: trailers (if any) were added to `trailers`; their views point into `input`.
  [[nodiscard]] BodyStep next_body(std::string_view input, Fields& trailers);
  // A body with a length has been read to its last byte.
  [[nodiscard]] bool complete() const { return body_ == Body::kLength && left_ == 0; }
  // The peer ended the stream. True when that ends the message as it should.
  [[nodiscard]] bool finish() const { return body_ == Body::kUntilClose; }

 private:
  [[nodiscard]] H1Error run_head(std::string_view bytes);
  void begin_body(Body body, uint64_t length);
  [[nodiscard]] BodyStep next_chunked(std::string_view input, Fields& trailers);
  [[nodiscard]] BodyStep next_trailers(std::string_view input, Fields& trailers);
  [[nodiscard]] BodyStep bad_body() const {
    return {BodyStep::Kind::kError, 0, {}, {status_of_bad_body_, "http1.chunked_body"}};
  }

  static const llhttp_settings_t& settings();
  static int on_headers_complete(llhttp_t* parser);
  static int on_chunk_header(llhttp_t* parser);
  static int on_body(llhttp_t* parser, const char* at, size_t length);
  static int on_message_complete(llhttp_t* parser);

  llhttp_t parser_;
  const Limits& limits_;
  HeadLines& lines_;
  size_t checked_ = 0;  // of the head or trailers under way

  Framing framing_;  // of the head that was parsed last
  Body body_ = Body::kNone;
  uint64_t left_ = 0;      // of a body with a length
  uint64_t overhead_ = 0;  // chunk lines seen, against the body bytes they brought
  uint64_t chunked_bytes_ = 0;
  uint16_t status_of_bad_body_;
  bool headers_done_ = false, message_done_ = false;
  bool head_only_ = false;  // this message has no body for llhttp either
  bool in_trailers_ = false;
  std::string_view span_;  // what on_body was given
};

}  // namespace weft::http
