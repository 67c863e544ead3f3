// The regression corpus of HTTP/1 framing: shapes that two parsers could read in two ways (CVE-2023-30589,
// CVE-2024-27982, CVE-2025-23167 and their relatives), and the duties that even strict llhttp leaves to us.
#include "userspace-proxy/http/h1_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weft::http {
namespace {

using namespace std::string_literals;

struct Outcome {
  int status = 0;  // of the refusal; 0: taken; -1: wants more
  std::string body;
  std::string trailers;  // names of those that were kept
  size_t used = 0;
};

struct Parser {
  Limits limits;
  HeadLines lines;
  RequestHead request;
  ResponseHead response;
  std::string store;

  // Parses one message that arrives in pieces of `piece` bytes.
  Outcome run(H1Parser::Type type, std::string_view input, size_t piece, std::string_view method = "GET",
              bool upgrade = false) {
    H1Parser parser(type, limits, lines);
    Outcome out;
    std::string held;
    size_t next = 0;
    bool in_body = false;
    const auto feed = [&] {
      const size_t size = std::min(piece, input.size() - next);
      held.append(input.substr(next, size));
      next += size;
      return size > 0;
    };
    while (!in_body) {
      const auto scan = parser.scan(held);
      if (scan.kind == HeadScan::Kind::kError) return out.status = scan.error.status, out;
      if (scan.kind == HeadScan::Kind::kNeedMore) {
        if (!feed()) return out.status = -1, out;
        continue;
      }
      store = held.substr(0, scan.length);
      held.erase(0, scan.length);
      out.used += scan.length;
      request.clear();
      response.clear();
      const auto error = type == H1Parser::Type::kRequest
                             ? parser.read_request(store, request)
                             : parser.read_response(store, method, upgrade, response);
      if (error) return out.status = error.status, out;
      in_body = true;
    }
    for (;;) {
      Fields trailers;
      const auto step = parser.next_body(held, trailers);
      for (const auto& field : trailers)
        if (!field.dropped) out.trailers.append(field.name).append(";");
      if (step.kind == H1Parser::BodyStep::Kind::kError) return out.status = step.error.status, out;
      if (step.kind == H1Parser::BodyStep::Kind::kBytes) out.body += step.bytes;
      out.used += step.consumed;
      if (step.kind == H1Parser::BodyStep::Kind::kEnd) return out;
      held.erase(0, step.consumed);
      if (step.kind == H1Parser::BodyStep::Kind::kNeedMore && !feed()) {
        out.status = parser.finish() ? 0 : -1;
        return out;
      }
    }
  }
  Outcome request_of(std::string_view input, size_t piece = SIZE_MAX) {
    return run(H1Parser::Type::kRequest, input, piece);
  }
  Outcome response_of(std::string_view input, std::string_view method = "GET", bool upgrade = false) {
    return run(H1Parser::Type::kResponse, input, SIZE_MAX, method, upgrade);
  }
};

struct Shape {
  const char* name;
  std::string input;
  int status;
};

// lint: table
const std::vector<Shape>& refused_requests() {
  static const std::vector<Shape> kShapes = {
      {"bare CR as end of a header", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400},
      {"bare CR ends the head (CVE-2023-30589)", "GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n", 400},
      {"CRLF CR x as end of the head", "GET / HTTP/1.1\r\nHost: a\r\n\rxGET / HTTP/1.1\r\n\r\n", 400},
      {"bare CR hides Transfer-Encoding",
       "POST / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"head ends with CRLF CR LF X (CVE-2025-23167)", "GET / HTTP/1.1\r\nHost: a\r\n\r\rX\r\n\r\n", 400},
      {"bare LF ends", "GET / HTTP/1.1\nHost: a\n\n", 400},
      {"bare LF ends one header", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400},
      {"space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
      {"space before the colon of a length (CVE-2024-27982)",
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello", 400},
      {"space before the first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
      {"a folded header", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400},
      {"a header folded with a tab", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n",
       400},
      {"an empty header name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400},
      {"a header without a colon", "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400},
      {"length and chunks",
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"chunks and length",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400},
      {"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
      {"two equal lengths",
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400},
      {"a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", 400},
      {"a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", 400},
      {"a hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello", 400},
      {"a length that overflows",
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\n", 400},
      {"an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", 400},
      {"chunked, identity",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400},
      {"xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
      {"chunked twice in two fields",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
       "chunked\r\n\r\n0\r\n\r\n",
       400},
      {"a coding that we would have to undo",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
      {"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       400},
      {"chunk data without CRLF",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n", 400},
      {"a chunk size that overflows",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", 400},
      {"a chunk size with a sign", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
       400},
      {"a chunk size with 0x",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", 400},
      {"a chunk line ended by LF",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", 400},
      {"a chunk extension with a bare CR",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\rb\r\nhello\r\n0\r\n\r\n", 400},
      {"a folded trailer",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n", 400},
      {"a trailer with a bare LF",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n", 400},
      {"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"s, 400},
      {"a control byte in a value",
       "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01"
       "b\r\n\r\n",
       400},
      {"an 8-bit name", "GET / HTTP/1.1\r\nHost: a\r\nX\xe4: b\r\n\r\n", 400},
      {"NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s, 400},
      {"no Host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", 400},
      {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
      {"a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
      {"a Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
      {"a Host with user information", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
      {"an absolute target with user information", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"an absolute target of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"a relative target", "GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"an asterisk with GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"a lower-case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"an unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"HTTP/0.9", "GET /\r\n\r\n", 400},
      {"HTTP/2.0 in a request line", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
      {"two spaces in the request line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
  };
  return kShapes;
}

TEST(H1ParserTest, every_shape_of_the_corpus_is_refused_however_it_is_cut) {
  for (const auto& shape : refused_requests()) {
    for (const size_t piece : {SIZE_MAX, size_t{1}, size_t{3}, size_t{7}}) {
      Parser parser;
      EXPECT_EQ(parser.request_of(shape.input, piece).status, shape.status)
          << shape.name << " in pieces of " << piece;
    }
  }
}

TEST(H1ParserTest, ordinary_requests_are_taken_however_they_are_cut) {
  const std::vector<std::pair<std::string, std::string>> taken = {
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""},
      {"GET / HTTP/1.0\r\n\r\n", ""},
      {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ""},
      {"GET http://b.c:80/x?y HTTP/1.1\r\nHost: ignored\r\n\r\n", ""},
      {"POST / HTTP/1.1\r\nhost:a\r\ncontent-length:   5  \r\n\r\nhello", "hello"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", ""},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n "
       "world\r\n0\r\n\r\n",
       "hello world"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n00005\r\nhello\r\n000\r\nX: "
       "y\r\n\r\n",
       "hello"},
      {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: TLS/1.2\r\nConnection: Upgrade\r\n\r\n", ""},
      {"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nhi",
       "hi"},
      {"GET / HTTP/1.1\r\nHost: [fd00::1]:80\r\nX-Empty:\r\n\r\n", ""},
  };
  for (const auto& [input, body] : taken) {
    for (const size_t piece : {SIZE_MAX, size_t{1}, size_t{2}, size_t{5}}) {
      Parser parser;
      const auto outcome = parser.request_of(input, piece);
      EXPECT_EQ(outcome.status, 0) << input << " in pieces of " << piece;
      EXPECT_EQ(outcome.body, body) << input;
      EXPECT_EQ(outcome.used, input.size()) << input;
    }
  }
}

TEST(H1ParserTest, what_follows_a_message_is_left_for_the_next) {
  Parser parser;
  const std::string first =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n";
  EXPECT_EQ(parser.request_of(first + "GET /next").used, first.size());
  const std::string second = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
  EXPECT_EQ(parser.request_of(second + "GET /next").used, second.size());
}

TEST(H1ParserTest, the_authority_of_an_absolute_target_counts_and_the_host_field_does_not) {
  Parser parser;
  EXPECT_EQ(parser.request_of("GET http://real:81 HTTP/1.1\r\nHost: fake\r\n\r\n").status, 0);
  EXPECT_EQ(parser.request.authority, "real:81");
  EXPECT_EQ(parser.request.target, "/");
  EXPECT_EQ(find(parser.request.fields, Known::kHost), nullptr);
}

TEST(H1ParserTest, framing_fields_in_trailers_are_refused_others_with_a_rule_dropped) {
  Parser parser;
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
  EXPECT_EQ(parser.request_of(head + "Transfer-Encoding: chunked\r\n\r\n").status, 400);
  const auto outcome =
      parser.request_of(head + "X-Sum: 1\r\nContent-Length: 5\r\nHost: b\r\nConnection: close\r\n\r\n");
  ASSERT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.trailers, "X-Sum;");
}

TEST(H1ParserTest, heads_and_trailers_are_bounded_in_size_and_number) {
  Parser parser;
  EXPECT_EQ(
      parser.request_of("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n").status,
      431);
  EXPECT_EQ(parser.request_of("GET /" + std::string(70'000, 'x'), 4096).status, 431)
      << "before its end is seen";
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 101; ++i) many += "X: y\r\n";
  EXPECT_EQ(parser.request_of(many + "\r\n").status, 431);
  std::string trailers = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
  for (int i = 0; i < 103; ++i) trailers += "X: y\r\n";
  EXPECT_EQ(parser.request_of(trailers + "\r\n").status, 400);
}

TEST(H1ParserTest, chunk_extensions_may_not_outweigh_the_body_without_end) {
  Parser parser;
  std::string input =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(200'000, 'e');
  EXPECT_EQ(parser.request_of(input, 8192).status, 400);
}

TEST(H1ParserTest, connection_names_fields_to_drop_but_not_those_that_rules_speak_of) {
  Parser parser;
  ASSERT_EQ(
      parser
          .request_of("GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop, host, x-request-id\r\nx-hop: 1\r\n"
                      "X-Request-Id: r\r\n\r\n")
          .status,
      0);
  for (const auto& field : parser.request.fields) {
    EXPECT_EQ(field.dropped, field.name == "x-hop") << field.name;
  }
}

TEST(H1ParserTest, keep_alive_is_the_default_of_1_1_and_asked_for_in_1_0) {
  Parser parser;
  const auto keeps = [&](std::string input) {
    EXPECT_EQ(parser.request_of(input).status, 0);
    return parser.request.keep_alive;
  };
  EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\nHost: a\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n"));
}

TEST(H1ParserTest, responses_are_framed_by_the_request_they_answer) {
  Parser parser;
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
  EXPECT_EQ(parser.response_of(head + "hello").body, "hello");
  EXPECT_EQ(parser.response_of(head, "HEAD").status, 0);
  EXPECT_EQ(parser.response.body, Body::kNone);
  EXPECT_EQ(parser.response_of("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n").used, 48u);
  EXPECT_EQ(parser.response_of("HTTP/1.1 204 No Content\r\n\r\n").status, 0);
  EXPECT_EQ(parser.response_of("HTTP/1.1 100 Continue\r\n\r\n").status, 0);
  EXPECT_EQ(parser.response_of("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n").status, 0) << "no reason";
  EXPECT_EQ(parser.response_of("HTTP/1.1 200 OK\r\n\r\nall of it").body, "all of it");
  EXPECT_FALSE(parser.response.keep_alive);
  EXPECT_EQ(parser.response_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nall").body, "all");
  EXPECT_FALSE(parser.response.keep_alive);
}

TEST(H1ParserTest, broken_responses_are_a_bad_gateway) {
  const std::vector<Shape> shapes = {
      {"length and chunks",
       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502},
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 502},
      {"a coding we cannot name to the client", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", 502},
      {"gzip, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 502},
      {"chunks in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502},
      {"an upgrade nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 502},
      {"no status", "HTTP/1.1 OK\r\n\r\n", 502},
      {"a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", 502},
      {"NUL in the reason", "HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n"s, 502},
      {"not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", 502},
      {"a folded header", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
       400},  // the scan's own word; sessions answer 502
      {"a broken chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 502},
  };
  for (const auto& shape : shapes) {
    Parser parser;
    EXPECT_EQ(parser.response_of(shape.input).status, shape.status) << shape.name;
  }
}

TEST(H1ParserTest, a_websocket_is_asked_for_by_get_with_both_fields) {
  Parser parser;
  const auto asks = [&](std::string input) {
    EXPECT_EQ(parser.request_of(input).status, 0);
    return parser.request.websocket;
  };
  EXPECT_TRUE(
      asks("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n"));
  EXPECT_FALSE(asks("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"));
  EXPECT_FALSE(asks("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2\r\n\r\n"));
  EXPECT_FALSE(
      asks("POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: "
           "1\r\n\r\nx"));
}

}  // namespace
}  // namespace weft::http
