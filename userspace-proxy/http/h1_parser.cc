#include "userspace-proxy/http/h1_parser.h"

#include <algorithm>

namespace weft::http {
namespace {

// Chunk lines may weigh this much more than what they carry: beyond it somebody makes us work for nothing.
constexpr uint64_t kFreeOverhead = 64 * 1024;
constexpr uint64_t kOverheadPerByte = 16;

H1Error grammar_error(llhttp_errno_t code) {
  switch (code) {
    case HPE_INVALID_METHOD:
      return {501, "http1.unknown_method"};
    case HPE_INVALID_VERSION:
      return {505, "http1.version"};
    case HPE_UNEXPECTED_CONTENT_LENGTH:
    case HPE_INVALID_CONTENT_LENGTH:
      return {400, "http1.content_length"};
    case HPE_INVALID_TRANSFER_ENCODING:
      return {400, "http1.transfer_encoding"};
    case HPE_INVALID_URL:
      return {400, "http1.target"};
    default:
      return {400, "http1.codec_error"};
  }
}

}  // namespace

const llhttp_settings_t& H1Parser::settings() {
  static const llhttp_settings_t kSettings = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_headers_complete = on_headers_complete;
    s.on_chunk_header = on_chunk_header;
    s.on_body = on_body;
    s.on_message_complete = on_message_complete;
    return s;
  }();
  return kSettings;
}

H1Parser::H1Parser(Type type, const Limits& limits, HeadLines& lines)
    : limits_(limits), lines_(lines), status_of_bad_body_(type == Type::kRequest ? 400 : 502) {
  llhttp_init(&parser_, type == Type::kRequest ? HTTP_REQUEST : HTTP_RESPONSE, &settings());
  parser_.data = this;
}

int H1Parser::on_headers_complete(llhttp_t* parser) {
  auto& self = *static_cast<H1Parser*>(parser->data);
  self.headers_done_ = true;
  // Read now: llhttp forgets it as soon as a message without a body is complete.
  self.framing_ = {(parser->flags & F_CHUNKED) != 0, (parser->flags & F_CONTENT_LENGTH) != 0,
                   parser->content_length};
  return self.head_only_ ? 1 : 0;
}

int H1Parser::on_chunk_header(llhttp_t* parser) {
  if (parser->content_length != 0) return 0;
  static_cast<H1Parser*>(parser->data)->in_trailers_ = true;
  return HPE_PAUSED;
}

int H1Parser::on_body(llhttp_t* parser, const char* at, size_t length) {
  static_cast<H1Parser*>(parser->data)->span_ = {at, length};
  return HPE_PAUSED;
}

int H1Parser::on_message_complete(llhttp_t* parser) {
  static_cast<H1Parser*>(parser->data)->message_done_ = true;
  return 0;
}

H1Error H1Parser::run_head(std::string_view bytes) {
  checked_ = 0;
  headers_done_ = false;
  llhttp_reset(&parser_);
  const auto code = llhttp_execute(&parser_, bytes.data(), bytes.size());
  if (code != HPE_OK && code != HPE_PAUSED_UPGRADE) return grammar_error(code);
  if (!headers_done_) return {400, "http1.codec_error"};
  return {};
}

void H1Parser::begin_body(Body body, uint64_t length) {
  body_ = body;
  left_ = length;
  overhead_ = chunked_bytes_ = 0;
  in_trailers_ = message_done_ = false;
}

H1Error H1Parser::read_request(std::string_view bytes, RequestHead& head) {
  head_only_ = false;
  if (const auto error = run_head(bytes)) return error;
  if (const auto error = http::read_request(bytes, lines_, framing_, head)) return error;
  begin_body(head.body, head.content_length);
  return {};
}

H1Error H1Parser::read_response(std::string_view bytes, std::string_view method, bool upgrade_asked,
                                ResponseHead& head) {
  head_only_ = method == "HEAD";
  if (const auto error = run_head(bytes)) return {502, error.details};
  if (const auto error = http::read_response(bytes, lines_, framing_, method, upgrade_asked, head))
    return error;
  begin_body(head.body, head.content_length);
  return {};
}

H1Parser::BodyStep H1Parser::next_body(std::string_view input, Fields& trailers) {
  switch (body_) {
    case Body::kNone:
      return {BodyStep::Kind::kEnd, 0, {}, {}};
    case Body::kLength: {
      if (left_ == 0) return {BodyStep::Kind::kEnd, 0, {}, {}};
      const auto bytes = input.substr(0, std::min<uint64_t>(left_, input.size()));
      if (bytes.empty()) return {};
      left_ -= bytes.size();
      return {BodyStep::Kind::kBytes, bytes.size(), bytes, {}};
    }
    case Body::kChunked:
      return next_chunked(input, trailers);
    case Body::kUntilClose:
    case Body::kTunnel:
      if (input.empty()) return {};
      return {BodyStep::Kind::kBytes, input.size(), input, {}};
  }
  return bad_body();
}

H1Parser::BodyStep H1Parser::next_chunked(std::string_view input, Fields& trailers) {
  if (in_trailers_) return next_trailers(input, trailers);
  if (input.empty()) return {};
  span_ = {};
  const auto code = llhttp_execute(&parser_, input.data(), input.size());
  size_t consumed = input.size();
  if (code == HPE_PAUSED) {
    consumed = llhttp_get_error_pos(&parser_) - input.data();
    llhttp_resume(&parser_);
  } else if (code != HPE_OK) {
    return bad_body();
  }
  overhead_ += consumed - span_.size();
  chunked_bytes_ += span_.size();
  if (overhead_ > kFreeOverhead + kOverheadPerByte * chunked_bytes_) return bad_body();
  if (!span_.empty()) return {BodyStep::Kind::kBytes, consumed, span_, {}};
  if (!in_trailers_) return {BodyStep::Kind::kNeedMore, consumed, {}, {}};
  auto step = next_trailers(input.substr(consumed), trailers);
  step.consumed += consumed;
  return step;
}

// Behind the last chunk: an empty line, or fields and an empty line. llhttp gets them when they are complete.
H1Parser::BodyStep H1Parser::next_trailers(std::string_view input, Fields& trailers) {
  const auto scan = scan_head(input, checked_, false, limits_.trailer_bytes, limits_.head_fields, lines_);
  if (scan.kind == HeadScan::Kind::kNeedMore) return {};
  if (scan.kind == HeadScan::Kind::kError) return bad_body();
  const auto bytes = input.substr(0, scan.length);
  const auto code = llhttp_execute(&parser_, bytes.data(), bytes.size());
  if ((code != HPE_OK && code != HPE_PAUSED_UPGRADE) || !message_done_) return bad_body();
  split_fields(bytes, lines_, 0, trailers);
  // Framing and routing fields have no business here (http-semantics 12, duty 6).
  for (auto& field : trailers)
    if (field.known != Known::kOther && field.known != Known::kGrpcStatus) field.dropped = true;
  checked_ = 0;
  body_ = Body::kNone;
  return {BodyStep::Kind::kEnd, scan.length, {}, {}};
}

}  // namespace weft::http
