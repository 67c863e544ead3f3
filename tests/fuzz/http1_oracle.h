#pragma once
// A second reader of HTTP/1 (Boost.Beast): what we pass on must mean to others what it meant to us.
#include <boost/beast/http.hpp>
#include <string>
#include <string_view>

namespace weft::fuzz {

struct Reading {
  bool whole = false;  // a message was read to its end
  size_t used = 0;
  std::string body;
  size_t fields = 0;
};

template <bool kRequest>
Reading read_with_beast(std::string_view bytes, bool no_body = false) {
  namespace beast = boost::beast::http;
  beast::parser<kRequest, beast::string_body> parser;
  parser.body_limit(boost::none);
  parser.header_limit(1 << 20);
  parser.eager(true);
  if constexpr (!kRequest) parser.skip(no_body);
  Reading out;
  boost::beast::error_code error;
  while (out.used < bytes.size() && !parser.is_done()) {
    const size_t used =
        parser.put(boost::asio::buffer(bytes.data() + out.used, bytes.size() - out.used), error);
    out.used += used;
    if (error == beast::error::need_more || (!error && used == 0)) break;
    if (error) return out;
  }
  out.whole = parser.is_done();
  if (out.whole) {
    out.body = parser.get().body();
    for (const auto& field : parser.get()) static_cast<void>(field), ++out.fields;
  }
  return out;
}

}  // namespace weft::fuzz
