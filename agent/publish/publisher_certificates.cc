// What the publisher carries for certs: key wishes, chains and the trust bundle.
#include "agent/publish/proxy_link.h"
#include "agent/publish/publisher.h"
#include "userspace-proxy/base/log.h"

namespace weft::publish {
namespace {

SharedFd sealed(const char* name, const std::string& pem) {
  auto memory = base::seal_memory(name, pem);
  if (memory) return std::make_shared<const base::Fd>(std::move(*memory));
  spdlog::error("publish: {}: {}", name, base::describe(memory.error()));
  return nullptr;
}

}  // namespace

void Publisher::tell(ProxyId proxy, const model::ToProxy& message, std::vector<SharedFd> fds) {
  const auto found = links_.find(proxy);
  if (found != links_.end() && found->second->ready()) found->second->send(message, std::move(fds));
}

void Publisher::want_key(ProxyId proxy, const model::KeyWanted& wanted) {
  post([this, proxy, wanted] { tell(proxy, wanted); });
}

void Publisher::give_certificate(ProxyId proxy, const model::SpiffeId& identity, uint64_t key_id,
                                 std::string pem) {
  post([this, proxy, identity, key_id, pem = std::move(pem)] {
    auto memory = sealed("weft-certificate", pem);
    if (!memory || pem.size() > model::kMaxChainBytes) {
      ++counts_.certificates_unsendable;
      return;
    }
    ++counts_.certificates_sent;
    tell(proxy, model::CertificateOffer{identity, key_id, pem.size()}, {std::move(memory)});
  });
}

void Publisher::tell_failure(ProxyId proxy, const model::CertificateFailed& failed) {
  post([this, proxy, failed] { tell(proxy, failed); });
}

void Publisher::forget_identity(ProxyId proxy, const model::SpiffeId& identity) {
  post([this, proxy, identity] { tell(proxy, model::IdentityGone{identity}); });
}

void Publisher::set_trust_bundle(uint64_t generation, std::string pem) {
  post([this, generation, pem = std::move(pem)] {
    if (generation <= bundle_.generation) return;
    auto memory = sealed("weft-trust-bundle", pem);
    if (!memory || pem.empty() || pem.size() > model::kMaxChainBytes) {
      ++counts_.certificates_unsendable;
      return;
    }
    bundle_ = {generation, pem.size()};
    bundle_memory_ = std::move(memory);
    for (auto& [id, link] : links_)
      if (link->ready()) link->send(bundle_, {bundle_memory_});
  });
}

}  // namespace weft::publish
