// weft-agent: control. Picks the role; each role builds its parts by hand in its own file.
#include <malloc.h>

#include <string_view>

#include "agent/control_role.h"
#include "agent/gateway_role.h"
#include "agent/node_role.h"
#include "agent/options.h"
#include "agent/report/ready.h"
#include "userspace-proxy/base/log.h"
#include "userspace-proxy/base/supervise.h"

namespace {

// Lists of an API server come in buffers of megabytes. Once one was freed the allocator would take the next from its heaps,
// where small objects that stay settle behind it: the room is never given back. A fixed bound keeps them apart.
constexpr int kOwnMapping = 256 << 10;

}  // namespace

int main(int argc, char** argv) {
  mallopt(M_MMAP_THRESHOLD, kOwnMapping);
  if (argc == 3 && std::string_view(argv[1]) == "--is-ready") return weft::agent::run_is_ready(argv[2]);
  if (weft::agent::is_control(argc, argv))
    return weft::agent::run_control(weft::agent::parse_control_options(argc, argv));
  const weft::agent::Options options = weft::agent::parse_options(argc, argv);
  if (options.supervise && options.role == weft::model::Role::kGateway)
    return weft::base::supervise([&] {
      weft::base::init_log("weft-agent", options.log_level);
      return weft::agent::run_gateway(options);
    });
  weft::base::init_log("weft-agent", options.log_level);
  if (options.probe) return weft::agent::run_probe(options);
  if (options.uninstall) return weft::agent::run_uninstall(options);
  if (options.role == weft::model::Role::kGateway) return weft::agent::run_gateway(options);
  return weft::agent::run_node(options);
}
