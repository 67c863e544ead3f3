#include "agent/kube/easy.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <mutex>

namespace weft::kube {
namespace {

using base::ErrorKind;

// A server whose machine is gone is given up after this, also while nothing is sent (keep-alive probes
// count).
constexpr unsigned kUserTimeoutMs = 30'000;

int on_socket(void*, curl_socket_t fd, curlsocktype) {
  const unsigned timeout = kUserTimeoutMs;
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
  return CURL_SOCKOPT_OK;
}

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

std::string part_of(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string out = text;
  curl_free(text);
  return out;
}

void set_pem(CURL* easy, const Pem& pem, CURLoption file_option, CURLoption blob_option) {
  if (!pem.file.empty()) curl_easy_setopt(easy, file_option, pem.file.c_str());
  if (pem.data.empty()) return;
  curl_blob blob{.data = const_cast<char*>(pem.data.data()), .len = pem.data.size(), .flags = CURL_BLOB_COPY};
  curl_easy_setopt(easy, blob_option, &blob);
}

ErrorKind kind_of(CURLcode code) {
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return ErrorKind::kTimeout;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return ErrorKind::kUntrusted;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
      return ErrorKind::kSystem;
    case CURLE_WRITE_ERROR:
      return ErrorKind::kLimit;
    default:
      return ErrorKind::kClosed;
  }
}

}  // namespace

base::Result<std::unique_ptr<Target>> Target::create(const Config& config) {
  const std::unique_ptr<CURLU, UrlDeleter> url(curl_url());
  const bool good = url && curl_url_set(url.get(), CURLUPART_URL, config.server.c_str(), 0) == CURLUE_OK;
  const std::string host = good ? part_of(url.get(), CURLUPART_HOST) : "";
  const std::string port = good ? part_of(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT) : "";
  if (host.empty() || port.empty() || part_of(url.get(), CURLUPART_SCHEME) != "https")
    return base::fail(ErrorKind::kInvalid,
                      fmt::format("\"{}\" is no https:// address of an API server", config.server));
  std::string prefix = part_of(url.get(), CURLUPART_PATH);
  while (prefix.ends_with('/')) prefix.pop_back();
  auto target = std::make_unique<Target>();
  const std::string& name = config.tls_server_name.empty() ? host : config.tls_server_name;
  target->base_ = fmt::format("https://{}:{}{}", name, port, prefix);
  if (!config.tls_server_name.empty()) target->connect_to_.add(fmt::format("::{}:{}", host, port));
  return target;
}

void init_curl() {
  static std::once_flag once;
  std::call_once(once, [] { CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
}

void prepare(CURL* easy, const Config& config, const Target& target, bool http2) {
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!config.authority.empty()) {
    // Debian's libcurl trusts /etc/ssl/certs beside what it is given, unless told not to.
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
    set_pem(easy, config.authority, CURLOPT_CAINFO, CURLOPT_CAINFO_BLOB);
  }
  set_pem(easy, config.certificate, CURLOPT_SSLCERT, CURLOPT_SSLCERT_BLOB);
  set_pem(easy, config.key, CURLOPT_SSLKEY, CURLOPT_SSLKEY_BLOB);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                   static_cast<long>(http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 10'000L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 15L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);
  curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, config.user_agent.c_str());
  if (target.connect_to_.get()) curl_easy_setopt(easy, CURLOPT_CONNECT_TO, target.connect_to_.get());
}

base::Error transport_error(const std::string& what, CURL* easy, CURLcode code, const char* text) {
  long system = 0;
  curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &system);
  base::Error error;
  error.kind = kind_of(code);
  error.side = base::Side::kDestination;
  // The number may be left from an earlier attempt (of the other address family); it says something here
  // only.
  if (code == CURLE_COULDNT_CONNECT) error.sys_errno = static_cast<int>(system);
  error.what = fmt::format("{}: {}", what, text && *text ? text : curl_easy_strerror(code));
  return error;
}

base::Nanos retry_after_of(CURL* easy) {
  curl_off_t seconds = 0;
  if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK || seconds < 0) return {};
  return std::chrono::seconds(std::min<curl_off_t>(seconds, 3600));
}

}  // namespace weft::kube
