#pragma once
#include <string>

#include "userspace-proxy/base/result.h"
#include "userspace-proxy/worker/options.h"

namespace weft::worker {

// As many descriptors as the machine gives. Returns the limit.
[[nodiscard]] base::Result<size_t> raise_descriptor_limit();

// Gives up everything that the proxy does not need, for ever: becomes `user` when it runs as root, empties
// the capability sets, sets no-new-privileges. Fails when a capability is left over. Before any thread is
// started.
[[nodiscard]] base::Status drop_privileges(const std::string& user);

// OpenSSL as the workers need it, made ready while files may still be read; keys of this process are not for dumps.
[[nodiscard]] base::Status prepare_tls();

// From here on only the system calls of the list in confine_seccomp.cc work, in all threads to come.
[[nodiscard]] base::Status confine_system_calls(Seccomp mode);

}  // namespace weft::worker
