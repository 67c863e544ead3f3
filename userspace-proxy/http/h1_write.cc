#include "userspace-proxy/http/h1_write.h"

#include <charconv>

namespace weft::http {
namespace {

// Writes into room that was reserved for the whole head.
class Pen {
 public:
  Pen(Queue& out, size_t room) : out_(out), begin_(out.room(room)), next_(begin_) {}
  ~Pen() { out_.commit(next_ - begin_); }
  Pen(const Pen&) = delete;
  Pen& operator=(const Pen&) = delete;

  void put(std::string_view text) {
    if (text.empty()) return;
    std::memcpy(next_, text.data(), text.size());
    next_ += text.size();
  }
  void put_field(std::string_view name, std::string_view value) {
    put(name);
    put(": ");
    put(value);
    put(kCrlf);
  }
  void put_number(uint64_t value) { next_ = std::to_chars(next_, next_ + 20, value).ptr; }

 private:
  Queue& out_;
  char* begin_;
  char* next_;
};

constexpr size_t kFixed = 256;  // first line, framing and connection fields, beside their values

size_t room_for(const Fields& fields, std::span<const Extra> extras, const H1Outgoing& how) {
  size_t room = kFixed + how.connection.size() + how.upgrade.size();
  for (const auto& field : fields) room += field.name.size() + field.value.size() + field.line.size() + 4;
  for (const auto& extra : extras) room += extra.name.size() + extra.value.size() + 4;
  return room;
}

// Fields of one hop never leave; content-length only when the message keeps the framing it speaks of.
bool leaves(const Field& field, bool keep_length) {
  if (field.dropped) return false;
  switch (field.known) {
    case Known::kConnection:
    case Known::kKeepAlive:
    case Known::kProxyConnection:
    case Known::kTransferEncoding:
    case Known::kUpgrade:
    case Known::kTe:
    case Known::kHttp2Settings:
      return false;
    case Known::kContentLength:
      return keep_length;
    default:
      return true;
  }
}

void put_fields(Pen& pen, const Fields& fields, bool keep_length) {
  // Lines that lie side by side in the head as it came go out in one piece.
  std::string_view run;
  for (const auto& field : fields) {
    if (!leaves(field, keep_length)) continue;
    if (field.line.empty()) {
      pen.put(run);
      run = {};
      pen.put_field(field.name, field.value);
    } else if (!run.empty() && run.data() + run.size() == field.line.data()) {
      run = {run.data(), run.size() + field.line.size()};
    } else {
      pen.put(run);
      run = field.line;
    }
  }
  pen.put(run);
}

void put_rest(Pen& pen, std::span<const Extra> extras, const H1Outgoing& how) {
  for (const auto& extra : extras) pen.put_field(extra.name, extra.value);
  if (how.body == Body::kChunked) pen.put("transfer-encoding: chunked\r\n");
  if (how.add_length) {
    pen.put("content-length: ");
    pen.put_number(how.content_length);
    pen.put(kCrlf);
  }
  if (!how.connection.empty()) pen.put_field("connection", how.connection);
  if (!how.upgrade.empty()) pen.put_field("upgrade", how.upgrade);
  pen.put(kCrlf);
}

bool keeps_length(const H1Outgoing& how) {
  return how.body != Body::kChunked && how.body != Body::kTunnel && !how.add_length;
}

}  // namespace

void write_request_head(Queue& out, const RequestHead& head, std::string_view target,
                        std::span<const Extra> extras, const H1Outgoing& how) {
  Pen pen(out,
          room_for(head.fields, extras, how) + head.method.size() + target.size() + head.authority.size());
  pen.put(head.method);
  pen.put(" ");
  pen.put(target);
  pen.put(" HTTP/1.1\r\n");
  // An authority without a field of its own: an absolute target, or HTTP/2.
  if (find(head.fields, Known::kHost) == nullptr && !head.authority.empty())
    pen.put_field("host", head.authority);
  put_fields(pen, head.fields, keeps_length(how));
  put_rest(pen, extras, how);
}

void write_response_head(Queue& out, const ResponseHead& head, std::span<const Extra> extras,
                         const H1Outgoing& how) {
  const auto reason =
      head.reason.empty() && head.version == Version::kHttp2 ? reason_of(head.status) : head.reason;
  Pen pen(out, room_for(head.fields, extras, how) + reason.size());
  pen.put(how.http10 ? "HTTP/1.0 " : "HTTP/1.1 ");
  pen.put_number(head.status);
  pen.put(" ");
  pen.put(reason);
  pen.put(kCrlf);
  const bool bodiless = head.status < 200 || head.status == 204;
  put_fields(pen, head.fields, keeps_length(how) && !bodiless);
  put_rest(pen, extras, how);
}

std::string_view chunk_line(size_t size, char (&block)[20]) {
  char* end = std::to_chars(block, block + 16, size, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return {block, static_cast<size_t>(end - block)};
}

void write_last_chunk(Queue& out, const Fields* trailers) {
  out.append("0\r\n");
  if (trailers != nullptr) {
    for (const auto& field : *trailers) {
      if (!leaves(field, false)) continue;
      out.append(field.name);
      out.append(": ");
      out.append(field.value);
      out.append(kCrlf);
    }
  }
  out.append(kCrlf);
}

}  // namespace weft::http
