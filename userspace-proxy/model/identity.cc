#include "userspace-proxy/model/identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace weft::model {
namespace {

constexpr std::string_view kScheme = "spiffe://";

bool is_plain(unsigned char c) {
  return c > 0x20 && c < 0x7f && c != '%' && c != '?' && c != '#';
}

std::unexpected<base::Error> refuse(std::string_view why) {
  return base::fail(base::ErrorKind::kInvalid, fmt::format("SPIFFE id: {}", why));
}

}  // namespace

base::Result<SpiffeId> SpiffeId::parse(std::string_view text) {
  if (text.size() > kMaxIdentity) return refuse("too long");
  if (!text.starts_with(kScheme)) return refuse("does not begin with spiffe://");
  if (!std::ranges::all_of(text, is_plain)) return refuse("a character that is not allowed");
  text.remove_prefix(kScheme.size());
  std::array<std::string_view, 5> pieces;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const size_t slash = text.find('/');
    const bool last = i + 1 == pieces.size();
    if (last != (slash == std::string_view::npos)) return refuse("not of the form <domain>/ns/<ns>/sa/<account>");
    pieces[i] = text.substr(0, slash);
    if (pieces[i].empty()) return refuse("an empty piece");
    if (!last) text.remove_prefix(slash + 1);
  }
  if (pieces[1] != "ns" || pieces[3] != "sa") return refuse("not of the form <domain>/ns/<ns>/sa/<account>");
  return SpiffeId{std::string(pieces[0]), std::string(pieces[2]), std::string(pieces[4])};
}

std::string SpiffeId::to_string() const {
  return fmt::format("{}{}/ns/{}/sa/{}", kScheme, trust_domain, ns, service_account);
}

}  // namespace weft::model
