// The directory watch on a real directory and real inotify.
#include "agent/watch/directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <fstream>
#include <map>
#include <mutex>
#include <set>

namespace weft::watch {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::string service(const std::string& name, int port = 80) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name +
         ", namespace: dev}\nspec: {ports: [{port: " + std::to_string(port) + "}]}\n";
}

// What the events add up to, and a way to wait for it.
class Ledger {
 public:
  void take(std::vector<Event> events) {
    std::unique_lock lock(mutex_);
    held_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !hold_; });
    held_ = false;
    for (Event& event : events) std::visit([&](auto& e) { note(e); }, event);
    changed_.notify_all();
  }

  // While on, the watch does not come back from its sink.
  void hold(bool on) {
    const std::lock_guard lock(mutex_);
    hold_ = on;
    changed_.notify_all();
  }
  bool is_held() {
    return eventually([&] { return held_; });
  }

  // Waits until `name` (in dev) has that port; 0: until it is gone.
  bool has(const std::string& name, int port) {
    return eventually([&] { return ports_.contains(name) ? ports_[name] == port : port == 0; });
  }
  bool finds(const std::string& file, size_t count) {
    return eventually([&] { return findings_[file].size() == count; });
  }
  bool synced() {
    return eventually([&] { return synced_ == 1; });
  }
  int upserts() {
    const std::lock_guard lock(mutex_);
    return upserts_;
  }
  std::vector<objects::Finding> findings(const std::string& file) {
    const std::lock_guard lock(mutex_);
    return findings_[file];
  }

 private:
  template <typename Condition>
  bool eventually(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, condition);
  }

  void note(const ObjectFindings&) {}  // not of this door
  void note(const Upsert& event) {
    ++upserts_;
    if (const auto found = objects::as<objects::Service>(event.object))
      ports_[event.key.name] = found->ports.at(0).port;
  }
  void note(const Remove& event) { ports_.erase(event.key.name); }
  void note(const FileFindings& event) { findings_[event.file] = event.findings; }
  void note(const Synced&) { ++synced_; }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, int> ports_;
  std::map<std::string, std::vector<objects::Finding>> findings_;
  bool hold_ = false, held_ = false;
  int synced_ = 0;
  int upserts_ = 0;
};

class DirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "weft-watch-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    root_ = base_ / "manifests";
    fs::create_directory(root_);
  }
  void TearDown() override {
    watch_.reset();
    fs::remove_all(base_);
  }

  void write(const std::string& path, const std::string& text) {
    std::ofstream(root_ / path, std::ios::binary) << text;
  }
  // As careful programs write: a new file, then a rename over the old one.
  void replace(const std::string& path, const std::string& text) {
    write(path + ".tmp", text);
    fs::rename(root_ / (path + ".tmp"), root_ / path);
  }

  void start(base::Millis wait_for_root = 20ms) {
    auto watch =
        DirectoryWatch::create({.root = root_, .wait_for_root = wait_for_root}, clock_,
                               [this](std::vector<Event> events) { ledger_.take(std::move(events)); });
    ASSERT_TRUE(watch) << base::describe(watch.error());
    watch_ = std::move(*watch);
    watch_->start();
  }

  fs::path base_, root_;
  base::SystemClock clock_;
  Ledger ledger_;
  std::unique_ptr<DirectoryWatch> watch_;
};

TEST_F(DirectoryTest, what_is_there_is_read_and_then_synced) {
  write("a.yaml", service("a"));
  fs::create_directories(root_ / "sub/deeper");
  write("sub/deeper/b.yml", service("b", 81));
  start();
  EXPECT_TRUE(ledger_.synced());
  EXPECT_TRUE(ledger_.has("a", 80));
  EXPECT_TRUE(ledger_.has("b", 81));
}

TEST_F(DirectoryTest, a_file_is_made_changed_broken_mended_renamed_and_deleted) {
  start();
  ASSERT_TRUE(ledger_.synced());
  write("a.yaml", service("a"));
  EXPECT_TRUE(ledger_.has("a", 80));
  write("a.yaml", service("a", 81));
  EXPECT_TRUE(ledger_.has("a", 81));
  write("a.yaml", "apiVersion: [\n");
  EXPECT_TRUE(ledger_.finds("a.yaml", 1));
  EXPECT_TRUE(ledger_.has("a", 81));
  write("a.yaml", service("a", 82));
  EXPECT_TRUE(ledger_.finds("a.yaml", 0));
  EXPECT_TRUE(ledger_.has("a", 82));
  replace("a.yaml", service("a", 83));
  EXPECT_TRUE(ledger_.has("a", 83));
  fs::rename(root_ / "a.yaml", root_ / "b.yaml");
  write("b.yaml", service("a", 84));
  EXPECT_TRUE(ledger_.has("a", 84));
  fs::remove(root_ / "b.yaml");
  EXPECT_TRUE(ledger_.has("a", 0));
}

TEST_F(DirectoryTest, directories_appear_move_and_vanish) {
  start();
  ASSERT_TRUE(ledger_.synced());
  fs::create_directories(root_ / "x/y");
  write("x/y/a.yaml", service("a"));
  EXPECT_TRUE(ledger_.has("a", 80));
  fs::rename(root_ / "x", root_ / "z");
  write("z/y/a.yaml", service("a", 81));
  EXPECT_TRUE(ledger_.has("a", 81));
  fs::rename(root_ / "z", base_ / "outside");
  EXPECT_TRUE(ledger_.has("a", 0));
  // It is watched no more: what happens there is no business of ours, also under the old name.
  std::ofstream(base_ / "outside/y/a.yaml") << service("a", 82);
  fs::rename(base_ / "outside", root_ / "x");
  EXPECT_TRUE(ledger_.has("a", 82));
  write("x/y/a.yaml", service("a", 83));
  EXPECT_TRUE(ledger_.has("a", 83));
  fs::remove_all(root_ / "x");
  EXPECT_TRUE(ledger_.has("a", 0));
}

TEST_F(DirectoryTest, hidden_and_temporary_files_are_no_manifests) {
  start();
  ASSERT_TRUE(ledger_.synced());
  fs::create_directory(root_ / ".git");
  for (const char* name :
       {".a.yaml", ".a.yaml.swp", "a.yaml~", "#a.yaml#", "a.yaml.tmp", "4913", "a.txt", ".git/a.yaml"})
    write(name, service("a"));
  write("b.yaml", service("b"));
  EXPECT_TRUE(ledger_.has("b", 80));
  EXPECT_TRUE(ledger_.has("a", 0));
}

TEST_F(DirectoryTest, a_missing_directory_is_waited_for) {
  fs::remove(root_);
  start();
  EXPECT_TRUE(ledger_.finds("", 1));
  fs::create_directory(root_);
  EXPECT_TRUE(ledger_.synced());
  EXPECT_TRUE(ledger_.finds("", 0));
  write("a.yaml", service("a"));
  EXPECT_TRUE(ledger_.has("a", 80));
}

TEST_F(DirectoryTest, a_directory_that_was_moved_away_leaves_the_last_state) {
  write("a.yaml", service("a"));
  write("b.yaml", service("b"));
  start();
  ASSERT_TRUE(ledger_.synced());
  fs::rename(root_, base_ / "elsewhere");
  EXPECT_TRUE(ledger_.finds("", 1));
  EXPECT_TRUE(ledger_.has("a", 80));
  fs::create_directory(root_);
  write("a.yaml", service("a", 81));
  EXPECT_TRUE(ledger_.has("a", 81));
  EXPECT_TRUE(ledger_.has("b", 0));
  EXPECT_TRUE(ledger_.finds("", 0));
}

TEST_F(DirectoryTest, a_rescan_finds_what_no_event_told) {
  write("a.yaml", service("a"));
  start();
  ASSERT_TRUE(ledger_.synced());
  ASSERT_TRUE(ledger_.has("a", 80));
  const int before = ledger_.upserts();
  watch_->rescan();
  write("b.yaml", service("b"));
  EXPECT_TRUE(ledger_.has("b", 80));
  EXPECT_EQ(ledger_.upserts(), before + 1);
  EXPECT_GE(watch_->counters().scans, 2u);
}

TEST_F(DirectoryTest, more_events_than_the_queue_holds_lose_nothing) {
  size_t queue = 0;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> queue;
  ASSERT_GT(queue, 0u);
  write("gone.yaml", service("gone"));
  write("x.txt", "x");
  ledger_.hold(true);  // the watch is stuck in its sink while things happen
  start();
  ASSERT_TRUE(ledger_.is_held());
  for (size_t i = 0; i < queue / 4 + 10; ++i) {
    fs::rename(root_ / "x.txt", root_ / "y.txt");
    fs::rename(root_ / "y.txt", root_ / "x.txt");
  }
  write("last.yaml", service("last", 90));
  fs::remove(root_ / "gone.yaml");
  ledger_.hold(false);
  EXPECT_TRUE(ledger_.has("last", 90));
  EXPECT_TRUE(ledger_.has("gone", 0));
  EXPECT_EQ(watch_->counters().overflows, 1u);
}

TEST_F(DirectoryTest, unreadable_things_are_named_and_cost_nothing_else) {
  write("a.yaml", service("a"));
  ASSERT_EQ(mkfifo((root_ / "pipe.yaml").c_str(), 0600), 0);
  fs::create_symlink("nowhere", root_ / "dangling.yaml");
  fs::create_symlink("..", root_ / "circle");
  fs::create_directory(root_ / "dir.yaml");
  write("big.yaml", std::string((8u << 20) + 1, '#'));
  start();
  ASSERT_TRUE(ledger_.synced());
  EXPECT_TRUE(ledger_.has("a", 80));
  EXPECT_TRUE(ledger_.finds("big.yaml", 1));
  EXPECT_EQ(ledger_.findings("big.yaml").at(0).code, "TooLarge");
  EXPECT_TRUE(ledger_.findings("pipe.yaml").empty());
}

TEST_F(DirectoryTest, files_that_are_links_are_followed_and_swapped_as_kubernetes_does) {
  fs::create_directory(root_ / "..v1");
  fs::create_directory(root_ / "..v2");
  write("..v1/a.yaml", service("a", 1));
  write("..v2/a.yaml", service("a", 2));
  fs::create_directory_symlink("..v1", root_ / "..data");
  fs::create_symlink("..data/a.yaml", root_ / "a.yaml");
  start();
  EXPECT_TRUE(ledger_.has("a", 1));
  fs::create_directory_symlink("..v2", root_ / "..data_tmp");
  fs::rename(root_ / "..data_tmp", root_ / "..data");
  EXPECT_TRUE(ledger_.has("a", 2));
}

TEST_F(DirectoryTest, a_hard_link_is_a_whole_file) {
  start();
  ASSERT_TRUE(ledger_.synced());
  std::ofstream(base_ / "outside.yaml") << service("a");
  fs::create_hard_link(base_ / "outside.yaml", root_ / "a.yaml");
  EXPECT_TRUE(ledger_.has("a", 80));
}

TEST_F(DirectoryTest, creation_is_stable_over_rewrites_and_the_older_file_speaks) {
  write("b.yaml", service("a", 1));
  fs::last_write_time(root_ / "b.yaml", fs::file_time_type::clock::now() - 1h);
  start();
  ASSERT_TRUE(ledger_.has("a", 1));
  write("a.yaml", service("a", 2));
  EXPECT_TRUE(ledger_.finds("a.yaml", 1));
  EXPECT_NE(ledger_.findings("a.yaml").at(0).message.find("b.yaml:1"), std::string::npos);
  EXPECT_TRUE(ledger_.has("a", 1));
  fs::remove(root_ / "b.yaml");
  EXPECT_TRUE(ledger_.has("a", 2));
  EXPECT_TRUE(ledger_.finds("a.yaml", 0));
}

TEST_F(DirectoryTest, only_the_changed_file_is_read) {
  for (int i = 0; i < 50; ++i) write("s" + std::to_string(i) + ".yaml", service("s" + std::to_string(i)));
  start();
  ASSERT_TRUE(ledger_.synced());
  ASSERT_EQ(watch_->counters().files_parsed, 50u);
  write("s7.yaml", service("s7", 81));
  EXPECT_TRUE(ledger_.has("s7", 81));
  EXPECT_EQ(watch_->counters().files_parsed, 51u);
  EXPECT_EQ(watch_->counters().scans, 1u);
}

TEST_F(DirectoryTest, it_stops_at_any_time) {
  write("a.yaml", service("a"));
  for (int i = 0; i < 20; ++i) {
    start();
    watch_->stop();
    watch_.reset();
  }
  fs::remove_all(root_);
  start();
  watch_->stop();
  const uint64_t events = watch_->counters().events;
  fs::create_directories(root_);
  write("b.yaml", service("b"));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(watch_->counters().events, events) << "nothing comes after stop()";
}

TEST_F(DirectoryTest, scan_reads_files_and_directories_once) {
  fs::create_directory(root_ / "sub");
  write("b.yaml", service("b") + "---\n" + service("c", 99999));
  write("sub/a.yaml",
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: n}}\n");
  write("sub/bad.yaml", "a: [\n");
  const ScanResult all = scan(root_);
  ASSERT_EQ(all.objects.size(), 3u);
  EXPECT_EQ(all.objects[0].decoded.key->name, "b");
  EXPECT_FALSE(all.objects[1].decoded.object);
  EXPECT_EQ(all.objects[2].node.at({"kind"}).as_string(), "Namespace");
  ASSERT_EQ(all.findings.size(), 1u);
  EXPECT_EQ(all.findings[0].file, root_ / "sub/bad.yaml");
  EXPECT_EQ(scan(root_ / "b.yaml").objects.size(), 2u);
  EXPECT_EQ(scan(root_ / "none.yaml").findings.at(0).code, "Unreadable");
}

}  // namespace
}  // namespace weft::watch
