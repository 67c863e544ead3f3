#include "userspace-proxy/model/snapshot.h"

namespace weft::model {

std::string key_of(const Workload& workload) { return workload.ns + "/" + workload.name; }

std::string identity_of(const Workload& workload, const Settings& settings) {
  return "spiffe://" + settings.trust_domain + "/ns/" + workload.ns + "/sa/" + workload.service_account;
}

}  // namespace weft::model
