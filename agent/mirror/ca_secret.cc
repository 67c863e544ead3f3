#include "agent/mirror/ca_secret.h"

#include <array>

#include "agent/ca/files.h"
#include "agent/parse/base64.h"

namespace weft::mirror {
namespace {

struct Name {
  const char* text;
  bool required;
  mode_t mode;
};
// In the order of writing: with the certificate the set is whole.
constexpr std::array<Name, 4> kNames{{{"ca-key.pem", true, 0600},
                                      {"root-cert.pem", true, 0644},
                                      {"cert-chain.pem", false, 0644},
                                      {"ca-cert.pem", true, 0644}}};

kube::Resource secrets() { return *kube::known_resource("v1", "Secret"); }

}  // namespace

base::Result<CaSecret::Files> CaSecret::fetch(const std::string& name) {
  auto object = client_.get(secrets(), options_.ns, name);
  if (!object && object.error().not_found()) return Files{};
  if (!object) return std::unexpected(object.error());
  Files files;
  const std::string what = "Secret " + options_.ns + "/" + name;
  for (const Name& one : kNames) {
    const objects::Node& value = object->at({"data", one.text});
    if (value.as_string().empty() && !one.required) continue;
    auto text = parse::decode_base64(value.as_string(), parse::Base64::kPlain);
    if (!text || text->empty() || text->size() > ca::kMaxFile)
      return base::fail(base::ErrorKind::kInvalid, what + ": " + one.text + " is missing, empty, too large or no base64");
    files.emplace(one.text, std::move(*text));
  }
  return files;
}

base::Result<CaSecret::Files> CaSecret::fetch_any() {
  TRY_ASSIGN(auto files, fetch(options_.plugged_in));
  if (!files.empty()) return files;
  return fetch(options_.made);
}

base::Status CaSecret::write(const Files& files) {
  for (const Name& one : kNames) {
    const auto found = files.find(one.text);
    const std::string path = options_.directory + "/" + one.text;
    if (found == files.end()) {
      // A chain that is left over from another signer would not hold together with this one.
      if (::unlink(path.c_str()) != 0 && errno != ENOENT) return base::fail_errno("remove " + path);
      continue;
    }
    TRY(ca::write_file(path, found->second, one.mode));
  }
  seen_ = files;
  return {};
}

base::Result<CaSecret::Files> CaSecret::read() const {
  Files files;
  for (const Name& one : kNames) {
    const std::string path = options_.directory + "/" + one.text;
    if (!one.required && !ca::exists(path)) continue;
    TRY_ASSIGN(auto text, ca::read_file(path));
    files.emplace(one.text, std::move(text));
  }
  return files;
}

// Server-side apply under a name of this replica's own: of two that make it at once the second is told of a conflict.
// So the right to create can be bound to the Secret's name, which a plain POST does not show.
base::Result<bool> CaSecret::store(const Files& files) {
  const auto text = [](const std::string& value) { return objects::Node::string(value); };
  objects::Node data = objects::Node::mapping();
  for (const auto& [name, content] : files) data.set(name, text(parse::encode_base64(content, parse::Base64::kPlain)));
  objects::Node secret = objects::Node::mapping();
  secret.set("apiVersion", text("v1"));
  secret.set("kind", text("Secret"));
  secret.set("metadata", objects::Node::strings(std::map<std::string, std::string>{{"name", options_.made}, {"namespace", options_.ns}}));
  secret.set("type", text("Opaque"));
  secret.set("data", std::move(data));
  auto made = client_.apply(secrets(), secret, {.manager = "weft-control." + options_.replica});
  if (made) return true;
  if (made.error().code == 409) return false;
  return std::unexpected(made.error());
}

base::Status CaSecret::open(base::WallTime now) {
  TRY_ASSIGN(auto files, fetch_any());
  if (files.empty()) {
    TRY(ca::ensure_root(options_.directory, options_.trust_domain, now));
    TRY_ASSIGN(const auto made, read());
    TRY_ASSIGN(const bool stored, store(made));
    if (stored) {
      seen_ = made;
      return {};
    }
    TRY_ASSIGN(files, fetch_any());
    if (files.empty())
      return base::fail(base::ErrorKind::kConflict, "Secret " + options_.ns + "/" + options_.made + " comes and goes");
  }
  return write(files);
}

base::Result<bool> CaSecret::refresh() {
  TRY_ASSIGN(const auto files, fetch_any());
  if (files.empty()) {
    TRY(store(seen_));
    return false;
  }
  if (files == seen_) return false;
  TRY(write(files));
  return true;
}

}  // namespace weft::mirror
