// Any bytes as the configuration of weft-cni and as a runtime's list of plugins: what is passed on is a piece
// of what came, what is chained can be unchained again, and nothing of others is lost.
#include <cstdint>
#include <string>

#include "agent/cni/conflist.h"
#include "agent/cni_plugin/plugin.h"

using namespace weft;
using namespace weft::cni;

namespace {

void run_as_plugin(std::string_view text) {
  const Environment environment{.command = "ADD",
                                .container_id = "c",
                                .netns = "/run/netns/x",
                                .interface = "eth0",
                                .args = "K8S_POD_NAMESPACE=dev;K8S_POD_NAME=web;K8S_POD_UID=u"};
  const auto ask = [](const std::string&, const Request& request) -> base::Result<Answer> {
    CHECK(request.addresses.size() <= kMaxAddresses);
    return Answer{.ok = true};
  };
  const auto outcome = run_plugin(environment, text, ask);
  if (outcome.exit_code == 0) CHECK(text.find(outcome.out) != std::string_view::npos);
  if (outcome.exit_code != 0) CHECK(Json::parse(outcome.out));
}

// As conflist.cc's chain() and unchain() promise it.
void edit(const std::string& text) {
  const Entry entry{"/run/weft/cni.sock", false, {"kube-system"}};
  if (auto list = to_list(text); list)
    CHECK(chain(*list, entry) || Json::parse(text)->member("type").string_or("") == kPluginType);
  const auto chained = chain(text, entry);
  if (!chained) return;
  const auto again = chain(chained->text, entry);
  CHECK(again && !again->changed);
  const auto back = unchain(chained->text);
  CHECK(back && back->changed);
  const auto without = unchain(text);
  CHECK(without);
  // White space between entries may differ where our entry stood between others; the entries do not.
  const auto a = Json::parse(back->text), b = Json::parse(without->text);
  CHECK(a && b);
  const auto left = a->member("plugins").items(), right = b->member("plugins").items();
  CHECK(left.size() == right.size());
  for (size_t i = 0; i < left.size(); ++i) CHECK(left[i].text() == right[i].text());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  run_as_plugin(text);
  edit(text);
  return 0;
}
