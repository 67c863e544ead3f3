#include "agent/certs/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "userspace-proxy/base/fd.h"

namespace weft::certs {

base::Result<std::string> read_bounded(const std::string& path, size_t most) {
  const base::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return base::fail_errno("open " + path);
  struct stat about{};
  if (::fstat(file.get(), &about) != 0) return base::fail_errno("stat " + path);
  if (!S_ISREG(about.st_mode)) return base::fail(base::ErrorKind::kInvalid, path + " is no regular file");
  std::string text(most + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::fail_errno("read " + path);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > most) return base::fail(base::ErrorKind::kLimit, path + " is too large");
  text.resize(size);
  return text;
}

}  // namespace weft::certs
