#pragma once
// Formats of single values, as Kubernetes and Istio check them.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "userspace-proxy/base/clock.h"

namespace weft::objects {

// Go's form: "300ms", "1.5s", "1h30m", "0"; no sign. Nothing if it is malformed or longer than 290 years.
[[nodiscard]] std::optional<base::Nanos> parse_duration(std::string_view text);
// "100m", "1.5Gi", "1e3"
[[nodiscard]] bool is_quantity(std::string_view text);

[[nodiscard]] bool is_dns_label(std::string_view text);      // a-z 0-9 -, at most 63
[[nodiscard]] bool is_dns_subdomain(std::string_view text);  // labels joined by dots, at most 253
[[nodiscard]] bool is_service_name(std::string_view text);   // a DNS label that begins with a letter
[[nodiscard]] std::optional<uint16_t> parse_port(std::string_view text);  // digits, 1 to 65535
[[nodiscard]] bool is_port_name(std::string_view text);      // at most 15, a-z 0-9 -, at least one letter
[[nodiscard]] bool is_label_key(std::string_view text);      // [prefix/]name
[[nodiscard]] bool is_label_value(std::string_view text);    // at most 63, may be empty
// A DNS name in any case, with or without trailing dot.
[[nodiscard]] bool is_host_name(std::string_view text);
// A host name, "*.suffix" or "*".
[[nodiscard]] bool is_wildcard_host(std::string_view text);
[[nodiscard]] bool is_http_token(std::string_view text);  // header names, methods

[[nodiscard]] std::string lower_case(std::string_view text);
// As a stranger's word may stand in a sentence: printable, and not too long.
[[nodiscard]] std::string in_quotes(std::string_view word);
// Does `pattern` (exact, "*.suffix" or "*") cover `host`, which may be a pattern itself? Both in lower case.
[[nodiscard]] bool host_covers(std::string_view pattern, std::string_view host);

// "A|B|C" -> A, B, C
[[nodiscard]] std::vector<std::string_view> split_words(std::string_view words);
// The one of `words` that was most likely meant, or empty. Case, "_" and "-" do not count; else few letters
// may differ.
[[nodiscard]] std::string_view closest(std::string_view word, const std::vector<std::string_view>& words);

}  // namespace weft::objects
