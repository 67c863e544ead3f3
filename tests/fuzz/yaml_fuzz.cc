// Any bytes: the reader and the decoder come to an end and say where it hurts; what was read survives being
// written.
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/objects/objects.h"
#include "agent/parse/yaml.h"
#include "userspace-proxy/base/result.h"

using namespace weft;

namespace {

// JSON is the canonical form here: 5.0 and 5 are one, and not-a-number equals itself.
void check_round_trip(const objects::Node& root, const std::string& written) {
  const auto again = parse::read_yaml(written, "again.yaml");
  CHECK(again.findings.empty());
  CHECK(again.documents.size() == 1);
  CHECK(objects::to_json(again.documents[0].root, 0) == objects::to_json(root, 0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const parse::YamlLimits limits{.bytes = 1u << 20, .nodes = 20'000, .depth = 50, .aliases = 100};
  const auto result = parse::read_yaml({reinterpret_cast<const char*>(data), size}, "fuzz.yaml", limits);
  CHECK(result.findings.empty() || result.documents.empty());
  for (const objects::Finding& finding : result.findings) CHECK(!finding.message.empty());
  for (const objects::Document& document : result.documents) {
    check_round_trip(document.root, objects::to_yaml(document.root));
    for (const objects::Decoded& decoded : objects::decode(document)) {
      CHECK((decoded.object == nullptr) == objects::has_error(decoded.findings));
      CHECK(!decoded.stand_in || (!decoded.object && objects::key_of(*decoded.stand_in) == *decoded.key));
      CHECK(!decoded.object || (decoded.key && objects::key_of(*decoded.object) == *decoded.key));
    }
  }
  return 0;
}
