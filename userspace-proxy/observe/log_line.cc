#include "userspace-proxy/observe/log_line.h"

#include <fmt/format.h>

#include <ctime>
#include <iterator>

namespace weft::observe {
namespace {

void append_escaped(std::string& out, std::string_view value, bool quoted) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (const char c : value.substr(0, kMaxValue)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || (!quoted && c == ' ')) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
      continue;
    }
    if (c == '\\' || (quoted && c == '"')) out += '\\';
    out += c;
  }
}

// A bare word and a space after it.
void bare(std::string& out, std::string_view value) {
  if (value.empty()) value = "-";
  append_escaped(out, value, false);
  out += ' ';
}

void quoted(std::string& out, std::string_view value) {
  out += '"';
  append_escaped(out, value.empty() ? "-" : value, true);
  out += "\" ";
}

void number(std::string& out, int64_t value) {
  fmt::format_to(std::back_inserter(out), "{} ", value);
}

std::string text_of(const base::SocketAddress& address) {
  return address.port == 0 ? std::string() : address.to_string();
}

void start_time(std::string& out, base::WallTime when) {
  const auto millis = std::chrono::duration_cast<base::Millis>(when.time_since_epoch()).count();
  const time_t seconds = millis / 1000;
  tm parts{};
  gmtime_r(&seconds, &parts);
  fmt::format_to(std::back_inserter(out), "[{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z] ",
                 parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                 parts.tm_sec, millis % 1000);
}

void request_line(std::string& out, std::string_view method, std::string_view path,
                  std::string_view protocol) {
  out += '"';
  append_escaped(out, method.empty() ? "-" : method, true);
  out += ' ';
  append_escaped(out, path.empty() ? "-" : path, true);
  out += ' ';
  append_escaped(out, protocol.empty() ? "-" : protocol, true);
  out += "\" ";
}

void outcome(std::string& out, const RecordBase& record, uint16_t code, std::string_view details) {
  number(out, code);
  bare(out, name_of(record.flag));
  bare(out, details);
  bare(out, record.termination_details);
  quoted(out, record.transport_failure);
  number(out, static_cast<int64_t>(record.bytes_received));
  number(out, static_cast<int64_t>(record.bytes_sent));
  number(out, std::chrono::duration_cast<base::Millis>(record.duration).count());
}

void identity(std::string& out, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  out += key;
  quoted(out, value);
}

void addresses(std::string& out, const RecordBase& record) {
  bare(out, record.cluster);
  bare(out, text_of(record.destination_local));
  bare(out, text_of(record.local));
  bare(out, text_of(record.peer));
  bare(out, record.server_name);
  bare(out, record.route);
  // Behind Istio's fields, so that whoever reads those by position is not disturbed.
  identity(out, "src.identity=", record.source_identity);
  identity(out, "dst.identity=", record.destination_identity);
  out.back() = '\n';
}

}  // namespace

void append_line(const RequestRecord& record, std::string& out) {
  start_time(out, record.start);
  request_line(out, record.method, record.original_path.empty() ? record.path : record.original_path,
               record.protocol);
  outcome(out, record, record.code, record.details);
  if (record.service_time_ms < 0) bare(out, "");
  if (record.service_time_ms >= 0) number(out, record.service_time_ms);
  quoted(out, record.forwarded_for);
  quoted(out, record.user_agent);
  quoted(out, record.request_id);
  quoted(out, record.authority);
  quoted(out, text_of(record.destination));
  addresses(out, record);
}

void append_line(const ConnRecord& record, std::string& out) {
  start_time(out, record.start);
  request_line(out, "", "", "");
  outcome(out, record, 0, "");
  bare(out, "");
  for (int i = 0; i < 4; ++i) quoted(out, "");
  quoted(out, text_of(record.destination));
  addresses(out, record);
}

}  // namespace weft::observe
