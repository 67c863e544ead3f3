#include "agent/watch/directory.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>

#include "agent/watch/catalog.h"
#include "agent/watch/files.h"
#include "agent/watch/tree.h"
#include "userspace-proxy/base/log.h"

namespace weft::watch {
namespace {

using objects::Finding;

// A time stamp younger than this when the file was read says nothing: the kernel's clock for files is coarse.
constexpr int64_t kRacyNanos = 2'000'000'000;
// Where inotify cannot watch a directory (its limit is reached), everything is looked at this often.
constexpr base::Millis kFallbackPeriod{2000};

Finding finding_of(const std::string& path, const base::Error& error) {
  return {.code = error.kind == base::ErrorKind::kLimit ? "TooLarge" : "Unreadable",
          .file = path,
          .message = base::describe(error)};
}

}  // namespace

// What lives in the watch's thread.
class DirectoryWatch::Worker {
 public:
  Worker(DirectoryWatch& watch, Tree tree)
      : watch_(watch),
        tree_(std::move(tree)),
        catalog_(watch.options_.decode, watch.options_.limits, watch.counters_) {}

  void run() {
    TreeChanges changes{.everything = true};
    while (!watch_.stopping_) {
      if (changes.any()) apply(std::exchange(changes, {}));
      wait(idle_time());
      collect(changes);
    }
  }

 private:
  // How long to sleep when nothing happens; -1 is for ever.
  [[nodiscard]] base::Millis idle_time() const {
    if (!has_root_) return watch_.options_.wait_for_root;
    return unwatched_ ? kFallbackPeriod : base::Millis(-1);
  }

  // True if something woke us.
  bool wait(base::Millis timeout) {
    pollfd polled[] = {{tree_.fd(), POLLIN, 0}, {watch_.wake_.get(), POLLIN, 0}};
    return ::poll(polled, std::size(polled), static_cast<int>(timeout.count())) > 0;
  }

  // Gathers changes until there is quiet, or the burst has gone on for too long.
  void collect(TreeChanges& changes) {
    const WatchOptions& options = watch_.options_;
    const base::Instant begin = watch_.clock_.now();
    do {
      uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = ::read(watch_.wake_.get(), &count, sizeof count);
      tree_.drain(changes);
      if (watch_.rescan_.exchange(false) || unwatched_ || !has_root_) changes.everything = true;
      if (watch_.stopping_ || watch_.clock_.now() - begin >= options.max_delay) break;
    } while (wait(options.debounce));
    if (changes.overflow) ++watch_.counters_.overflows;
  }

  void apply(const TreeChanges& changes) {
    if (changes.everything) {
      scan_all();
    } else {
      for (const std::string& directory : changes.directories) scan_directory(directory);
    }
    for (const std::string& path : changes.files) load(path, false);
    std::vector<Event> events = catalog_.commit();
    if (has_root_ && !synced_) {
      synced_ = true;
      events.emplace_back(Synced{});
    }
    if (!events.empty()) watch_.sink_(std::move(events));
  }

  void scan_all() {
    const TreeListing listing = tree_.walk("");
    has_root_ = listing.found;
    if (!has_root_) return report_missing_root();
    missing_reported_ = false;
    ++watch_.counters_.scans;
    unwatched_ = false;
    take_listing("", listing);
  }

  // An unmounted or renamed directory is no order to tear the mesh down: the last state stays.
  void report_missing_root() {
    tree_.forget_all();
    if (std::exchange(missing_reported_, true)) return;
    catalog_.refuse("",
                    {.code = "Unreadable",
                     .file = tree_.root().string(),
                     .message = "the directory does not exist; what was read from it before stays in force"});
  }

  void scan_directory(const std::string& directory) { take_listing(directory, tree_.walk(directory)); }

  void take_listing(const std::string& directory, const TreeListing& listing) {
    std::set<std::string> seen = listing.files;
    for (const TreeProblem& problem : listing.problems) {
      unwatched_ |= !problem.unreadable;
      catalog_.refuse(problem.directory, finding_of(problem.directory, problem.error));
      seen.insert(problem.directory);
      // What cannot be listed is not gone.
      if (problem.unreadable) catalog_.keep_below(problem.directory, seen);
    }
    for (const std::string& gone : catalog_.remove_missing(directory, seen)) identities_.erase(gone);
    for (const std::string& path : by_birth(listing.files)) load(path, true);
  }

  // Files that are new to us come in the order of their birth: the oldest is the first that was seen. The
  // others are known already, so their order does not matter.
  std::vector<std::string> by_birth(const std::set<std::string>& files) {
    std::vector<std::string> known;
    std::vector<std::pair<objects::Time, std::string>> fresh;
    for (const std::string& path : files) {
      if (identities_.contains(path)) {
        known.push_back(path);
      } else {
        fresh.emplace_back(birth_of_file(tree_.root() / path), path);
      }
    }
    std::ranges::sort(fresh);
    for (auto& [birth, path] : fresh) known.push_back(std::move(path));
    return known;
  }

  // `unless_same`: skip a file that has not changed since it was read last.
  void load(const std::string& path, bool unless_same) {
    const std::filesystem::path place = tree_.root() / path;
    if (unless_same && is_unchanged(path, place)) return;
    auto content = read_file(place, watch_.options_.limits.bytes);
    if (content) {
      identities_[path] = {content->identity, wall_nanos()};
      catalog_.put(path, content->text, content->birth);
      return;
    }
    identities_.erase(path);
    if (content.error().kind == base::ErrorKind::kNotFound) return catalog_.remove(path);
    catalog_.refuse(path, finding_of(path, content.error()));
  }

  bool is_unchanged(const std::string& path, const std::filesystem::path& place) {
    const auto known = identities_.find(path);
    if (known == identities_.end()) return false;
    const auto now = identify_file(place);
    const auto& [identity, read_at] = known->second;
    return now && *now == identity && read_at - std::max(identity.mtime_ns, identity.ctime_ns) > kRacyNanos;
  }

  [[nodiscard]] int64_t wall_nanos() const { return watch_.clock_.wall_now().time_since_epoch().count(); }

  DirectoryWatch& watch_;
  Tree tree_;
  Catalog catalog_;
  std::map<std::string, std::pair<FileIdentity, int64_t>> identities_;  // and when the file was read
  bool has_root_ = false;
  bool missing_reported_ = false;
  bool synced_ = false;
  bool unwatched_ = false;
};

DirectoryWatch::DirectoryWatch(WatchOptions options, const base::Clock& clock, Sink sink, base::Fd wake)
    : options_(std::move(options)), clock_(clock), sink_(std::move(sink)), wake_(std::move(wake)) {}

base::Result<std::unique_ptr<DirectoryWatch>> DirectoryWatch::create(WatchOptions options,
                                                                     const base::Clock& clock, Sink sink) {
  base::Fd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return base::fail_errno("eventfd");
  std::unique_ptr<DirectoryWatch> watch(
      new DirectoryWatch(std::move(options), clock, std::move(sink), std::move(wake)));
  TRY_ASSIGN(Tree tree, Tree::create(watch->options_.root));
  watch->worker_ = std::make_unique<Worker>(*watch, std::move(tree));
  return watch;
}

DirectoryWatch::~DirectoryWatch() {
  stop();
}

void DirectoryWatch::start() {
  CHECK(!thread_.joinable());
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "watch");
    worker_->run();
  });
}

void DirectoryWatch::wake_up() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t put = ::write(wake_.get(), &one, sizeof one);
}

void DirectoryWatch::stop() {
  stopping_ = true;
  wake_up();
  if (thread_.joinable()) thread_.join();
}

void DirectoryWatch::rescan() {
  rescan_ = true;
  wake_up();
}

}  // namespace weft::watch
