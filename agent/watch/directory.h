#pragma once
// A directory tree of manifests as a stream of typed events.
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/objects/objects.h"
#include "agent/parse/yaml.h"
#include "agent/watch/event.h"
#include "userspace-proxy/base/clock.h"
#include "userspace-proxy/base/fd.h"
#include "userspace-proxy/base/result.h"

namespace weft::watch {

struct WatchOptions {
  std::filesystem::path root;       // need not exist yet
  base::Millis debounce{5};         // quiet time that ends a burst
  base::Millis max_delay{50};       // a burst is delivered after this even if it goes on
  base::Millis wait_for_root{200};  // how often a missing root is looked for
  objects::DecodeOptions decode;
  parse::YamlLimits limits;
};

struct WatchCounters {
  std::atomic<uint64_t> scans{0};  // full scans
  std::atomic<uint64_t> files_parsed{0};
  std::atomic<uint64_t> files_refused{0};  // a file or a document in it
  std::atomic<uint64_t> overflows{0};      // the kernel dropped events; answered by a full scan
  std::atomic<uint64_t> events{0};
};

// Watches a directory tree with inotify and emits the changes. Owner: main (agent) or the sandbox. Thread:
// its own, from start() to stop(); the sink is called there. Lifetime: the destructor stops and joins.
class DirectoryWatch {
 public:
  static base::Result<std::unique_ptr<DirectoryWatch>> create(WatchOptions options, const base::Clock& clock,
                                                              Sink sink);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

  void start();
  void stop();
  // Any thread: look at every file again (an overflow does the same). Unchanged files yield no event.
  void rescan();
  [[nodiscard]] const WatchCounters& counters() const { return counters_; }

 private:
  class Worker;
  void wake_up();
  DirectoryWatch(WatchOptions options, const base::Clock& clock, Sink sink, base::Fd wake);

  WatchOptions options_;
  const base::Clock& clock_;
  Sink sink_;
  base::Fd wake_;  // eventfd: stop or rescan was asked for
  std::atomic<bool> stopping_{false};
  std::atomic<bool> rescan_{false};
  WatchCounters counters_;
  std::unique_ptr<Worker> worker_;
  std::thread thread_;
};

// One look at a directory tree or a single file, without watching: what weftctl and the sandbox need.
struct ScannedObject {
  objects::Node node;
  objects::Decoded decoded;
  std::string file;
};
struct ScanResult {
  std::vector<ScannedObject> objects;      // in order of file name, then place in the file
  std::vector<objects::Finding> findings;  // files that could not be read at all
};
[[nodiscard]] ScanResult scan(const std::filesystem::path& path, const objects::DecodeOptions& options = {},
                              const parse::YamlLimits& limits = {});

}  // namespace weft::watch
