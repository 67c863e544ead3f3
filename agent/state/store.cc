#include "agent/state/store.h"

namespace weft::state {

using objects::Kind;

void Store::upsert(const objects::ObjectPtr& object) {
  const Key key = store_key(*object);
  switch (object->kind) {
    case Kind::kNamespace:
      namespaces[{"", key.name}] = objects::as<objects::Namespace>(object);
      dirty.pods = true;
      break;
    case Kind::kPod:
      pods[key] = objects::as<objects::Pod>(object);
      dirty.pods = true;
      break;
    case Kind::kService:
      services[key] = objects::as<objects::Service>(object);
      dirty.layout = true;
      dirty.endpoints.insert(key);
      break;
    case Kind::kEndpointSlice:
      put_slice(objects::as<objects::EndpointSlice>(object));
      break;
    case Kind::kGateway:
      gateways[key] = objects::as<objects::Gateway>(object);
      dirty.layout = true;
      break;
    case Kind::kVirtualService:
      virtual_services[key] = objects::as<objects::VirtualService>(object);
      dirty.layout = true;
      break;
    case Kind::kDestinationRule:
      destination_rules[key] = objects::as<objects::DestinationRule>(object);
      dirty.layout = true;
      break;
    case Kind::kPeerAuthentication:
      peer_authentications[key] = objects::as<objects::PeerAuthentication>(object);
      dirty.pods = true;
      break;
    case Kind::kAuthorizationPolicy:
      authorization_policies[key] = objects::as<objects::AuthorizationPolicy>(object);
      dirty.pods = true;
      break;
    case Kind::kCaptureExclusion:
      capture_exclusions[key] = objects::as<objects::CaptureExclusion>(object);
      dirty.pods = true;
      break;
    case Kind::kNode:
    case Kind::kServiceAccount:
    case Kind::kDeployment:
      break;  // of no interest to the data path
  }
}

void Store::remove(const objects::ObjectKey& object) {
  const Key key{object.ns, object.name};
  switch (object.kind) {
    case Kind::kNamespace:
      dirty.pods |= namespaces.erase({"", key.name}) > 0;
      break;
    case Kind::kPod:
      dirty.pods |= pods.erase(key) > 0;
      break;
    case Kind::kService:
      dirty.layout |= services.erase(key) > 0;
      dirty.endpoints.insert(key);
      break;
    case Kind::kEndpointSlice:
      forget_slice(key);
      break;
    case Kind::kGateway:
      dirty.layout |= gateways.erase(key) > 0;
      break;
    case Kind::kVirtualService:
      dirty.layout |= virtual_services.erase(key) > 0;
      break;
    case Kind::kDestinationRule:
      dirty.layout |= destination_rules.erase(key) > 0;
      break;
    case Kind::kPeerAuthentication:
      dirty.pods |= peer_authentications.erase(key) > 0;
      break;
    case Kind::kAuthorizationPolicy:
      dirty.pods |= authorization_policies.erase(key) > 0;
      break;
    case Kind::kCaptureExclusion:
      dirty.pods |= capture_exclusions.erase(key) > 0;
      break;
    case Kind::kNode:
    case Kind::kServiceAccount:
    case Kind::kDeployment:
      break;
  }
}

void Store::forget_slice(const Key& key) {
  const auto known = service_of_slice_.find(key);
  if (known == service_of_slice_.end()) return;
  const auto service = slices.find(known->second);
  service->second.erase(key);
  dirty.endpoints.insert(known->second);
  if (service->second.empty()) slices.erase(service);
  service_of_slice_.erase(known);
}

void Store::put_slice(const std::shared_ptr<const objects::EndpointSlice>& slice) {
  const Key key = store_key(*slice);
  forget_slice(key);  // its label may name another service now
  if (slice->service_name.empty()) return;
  const Key service{key.ns, slice->service_name};
  slices[service][key] = slice;
  service_of_slice_[key] = service;
  dirty.endpoints.insert(service);
}

void Store::set_sandboxes(SandboxFacts facts) {
  sandboxes = std::move(facts);
  dirty.pods = true;
}

const SandboxFact* Store::find_sandbox(const objects::Pod& pod) const {
  const auto by_uid = sandboxes.find(pod.meta.uid);
  const auto is_it = [&](const SandboxFact& fact) {
    return fact.ns == pod.meta.ns && fact.name == pod.meta.name;
  };
  const auto is_nameless = [](const SandboxFact& fact) { return fact.ns.empty() && fact.name.empty(); };
  if (by_uid != sandboxes.end())
    return is_nameless(by_uid->second) || is_it(by_uid->second) ? &by_uid->second : nullptr;
  // The object of a static pod is a mirror with a uid of its own. Its word alone is not enough: whoever makes pods
  // could name another's hash. Either the runtime has told its names, or the kubelet runs it: only through pods/status,
  // which who makes pods has no right to, does a pod get addresses, and a mirror of nothing is given none.
  const auto mirror = pod.meta.annotations.find("kubernetes.io/config.mirror");
  if (mirror == pod.meta.annotations.end()) return nullptr;
  const auto by_hash = sandboxes.find(mirror->second);
  if (by_hash == sandboxes.end()) return nullptr;
  const bool is_run = is_nameless(by_hash->second) && !pod.status.pod_ips.empty();
  return is_run || is_it(by_hash->second) ? &by_hash->second : nullptr;
}

const objects::Namespace* Store::find_namespace(const std::string& name) const {
  const auto found = namespaces.find({"", name});
  return found == namespaces.end() ? nullptr : found->second.get();
}

}  // namespace weft::state
