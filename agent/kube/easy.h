#pragma once
// What requests by hand and reflectors have in common: a libcurl handle that verifies the server and proves
// us.
#include <curl/curl.h>

#include <memory>
#include <string>

#include "agent/kube/config.h"
#include "userspace-proxy/base/result.h"

namespace weft::kube {

struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;

// A list of header lines, freed with its owner; must outlive the transfer.
class HeaderLines {
 public:
  HeaderLines() = default;
  ~HeaderLines() { curl_slist_free_all(list_); }
  HeaderLines(const HeaderLines&) = delete;
  HeaderLines& operator=(const HeaderLines&) = delete;
  void add(const std::string& line) { list_ = curl_slist_append(list_, line.c_str()); }
  void clear() {
    curl_slist_free_all(list_);
    list_ = nullptr;
  }
  [[nodiscard]] curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

// A server's address, taken apart once. With tls_server_name the URL carries that name (curl takes SNI, the
// name to verify and Host from there) and `connect_to` leads to the real address.
class Target {
 public:
  // kInvalid: the address is none.
  static base::Result<std::unique_ptr<Target>> create(const Config& config);
  [[nodiscard]] std::string url(std::string_view path) const { return base_ + std::string(path); }

 private:
  friend void prepare(CURL*, const Config&, const Target&, bool);
  std::string base_;
  HeaderLines connect_to_;
};

// Once in a process, before any other call of libcurl here.
void init_curl();
// Everything but the request itself. `http2`: many transfers share a connection. Target and Config must
// outlive the transfers.
void prepare(CURL* easy, const Config& config, const Target& target, bool http2);
// Why no answer came. `text`: CURLOPT_ERRORBUFFER.
[[nodiscard]] base::Error transport_error(const std::string& what, CURL* easy, CURLcode code,
                                          const char* text);
// Retry-After of the answer, if it has one.
[[nodiscard]] base::Nanos retry_after_of(CURL* easy);

}  // namespace weft::kube
