#pragma once
// A kernel, pods' namespaces, a proxy and a self-test that live in memory and write down in which order they
// are used.
#include <sys/eventfd.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/enrol/enroller.h"

namespace weft::test {

using Diary = std::vector<std::string>;

inline base::Status faulty(const std::set<std::string>& faults, const std::string& what) {
  if (!faults.contains(what)) return {};
  return base::fail_errno(EIO, what);
}

struct FakeKernel final : enrol::PodKernel {
  explicit FakeKernel(Diary& d) : diary(d) {}

  base::Result<std::map<uint64_t, weft_pod>> pods() const override { return entries; }
  base::Result<weft_pod> pod(uint64_t cookie) const override {
    const auto it = entries.find(cookie);
    if (it == entries.end()) return base::fail(base::ErrorKind::kNotFound, "no such pod");
    return it->second;
  }
  base::Result<weft_attested> attested(const weft_tuple& tuple) const override {
    const auto it = records.find(tuple);
    if (it == records.end()) return base::fail(base::ErrorKind::kNotFound, "no record");
    return it->second;
  }
  base::Status put_pod(uint64_t cookie, const weft_pod& pod) override {
    const bool enrolled = (pod.flags & WEFT_POD_ENROLLED) != 0, marking = (pod.flags & WEFT_POD_MARKING) != 0;
    diary.push_back(marking ? "marking on" : enrolled ? "marking off" : "entry off");
    entries[cookie] = pod;
    return faulty(faults, "put_pod");
  }
  base::Status remove_pod(uint64_t cookie) override {
    diary.push_back("entry removed");
    entries.erase(cookie);
    return {};
  }
  base::Status attach_pod(uint64_t cookie, int) override {
    TRY(faulty(faults, "attach"));
    diary.push_back("link");
    links.insert(cookie);
    return {};
  }
  base::Status detach_pod(uint64_t cookie) override {
    diary.push_back("unlink");
    links.erase(cookie);
    return {};
  }
  [[nodiscard]] bool is_attached(uint64_t cookie) const override { return links.contains(cookie); }
  base::Status set_listener(uint32_t slot, int) override {
    diary.push_back("listener " + std::to_string(slot));
    slots.insert(slot);
    return {};
  }
  base::Status clear_listener(uint32_t slot) override {
    diary.push_back("no listener " + std::to_string(slot));
    slots.erase(slot);
    return {};
  }
  [[nodiscard]] bool has_listener(uint32_t slot) const override { return slots.contains(slot); }

  Diary& diary;
  std::map<uint64_t, weft_pod> entries;
  compile::Table<weft_tuple, weft_attested> records;
  std::set<uint64_t> links;
  std::set<uint32_t> slots;
  std::set<std::string> faults;
};

// What a namespace is to the test, also after the agent has closed it.
struct FakePlace {
  uint64_t cookie = 0;
  std::string path;
  bool prepared = false;
  std::set<model::Family> routes, rules;
  size_t marked = 0;
  std::vector<enrol::ArrivedConnection> arrived, cut, uncarried;
  std::set<uint64_t> ended;  // cookies of `cut`, which are among the others no more
  std::set<std::string> faults;
  base::Fd changes{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};

  void changed() const {
    const uint64_t one = 1;
    (void)!write(changes.get(), &one, sizeof one);
  }
};

struct FakeNetns final : enrol::PodNetns {
  FakeNetns(Diary& d, std::shared_ptr<FakePlace> p) : diary(d), place(std::move(p)) {}

  [[nodiscard]] int fd() const override { return place->changes.get(); }
  [[nodiscard]] uint64_t cookie() const override { return place->cookie; }
  [[nodiscard]] bool is_at(const std::string& path) const override { return path == place->path; }
  base::Status prepare() override {
    TRY(faulty(place->faults, "prepare"));
    diary.push_back("prepare");
    place->prepared = true;
    return {};
  }
  [[nodiscard]] bool is_prepared() const override { return place->prepared; }
  base::Result<std::vector<base::Fd>> make_listeners(model::Family, size_t count) override {
    return sockets("make listeners", count);
  }
  base::Result<std::vector<base::Fd>> make_stock(model::StockKind, model::Family, size_t count) override {
    return sockets("", count);
  }
  base::Status add_route(model::Family family, const base::Address&) override {
    return put("route", place->routes, family);
  }
  base::Status add_rule(model::Family family) override { return put("rule", place->rules, family); }
  base::Result<bool> has_route(model::Family family) override { return place->routes.contains(family); }
  base::Result<bool> has_rule(model::Family family) override { return place->rules.contains(family); }
  base::Status remove_route(model::Family family) override { return take("no route", place->routes, family); }
  base::Status remove_rule(model::Family family) override { return take("no rule", place->rules, family); }
  base::Result<size_t> marked_connections() override { return place->marked; }
  base::Result<std::vector<enrol::ArrivedConnection>> arrived() override {
    TRY(faulty(place->faults, "arrived"));
    return place->arrived;
  }
  base::Result<std::vector<enrol::ArrivedConnection>> uncarried() override {
    TRY(faulty(place->faults, "uncarried"));
    auto open = place->uncarried;
    std::erase_if(open, [&](const auto& one) { return place->ended.contains(one.cookie); });
    return open;
  }
  base::Status cut(const enrol::ArrivedConnection& connection) override {
    TRY(faulty(place->faults, "cut"));
    TRY(faulty(place->faults, "cut " + std::to_string(connection.cookie)));
    place->cut.push_back(connection);
    place->ended.insert(connection.cookie);
    return {};
  }
  [[nodiscard]] int changes_fd() const override { return place->changes.get(); }
  void forget_changes() override {
    uint64_t count;
    (void)!read(place->changes.get(), &count, sizeof count);
  }

  base::Result<std::vector<base::Fd>> sockets(const char* what, size_t count) {
    if (*what != '\0') diary.push_back(what);
    std::vector<base::Fd> all;
    while (all.size() < count) all.emplace_back(eventfd(0, EFD_CLOEXEC));
    return all;
  }
  base::Status put(const std::string& what, std::set<model::Family>& set, model::Family family) {
    TRY(faulty(place->faults, what));
    diary.push_back(what);
    set.insert(family);
    return {};
  }
  base::Status take(const std::string& what, std::set<model::Family>& set, model::Family family) {
    diary.push_back(what);
    set.erase(family);
    return {};
  }

  Diary& diary;
  std::shared_ptr<FakePlace> place;
};

struct FakeOutlet final : publish::Outlet {
  void add_listener(const model::ListenerKey& key, publish::SharedFd socket) override {
    listeners[key] = socket;
  }
  void remove_listener(const model::ListenerKey& key) override { listeners.erase(key); }
  void remove_pod(const model::PodKey& pod) override {
    std::erase_if(listeners, [&](const auto& entry) { return entry.first.pod == pod; });
    gone.push_back(pod);
  }
  void add_stock(const model::StockKey& key, std::vector<base::Fd> sockets) override {
    stock[key] += sockets.size();
  }
  void set_stock_target(const model::StockKey& key, uint32_t keep) override { targets[key] = keep; }

  std::map<model::ListenerKey, publish::SharedFd> listeners;
  std::vector<model::PodKey> gone;
  std::map<model::StockKey, size_t> stock;
  std::map<model::StockKey, uint32_t> targets;
};

struct FakeMemory final : enrol::PreMeshMemory {
  base::Status put(uint64_t netns, const enrol::PreMeshRecord& record) override {
    TRY(faulty(faults, "put"));
    records[netns] = record;
    return {};
  }
  base::Result<enrol::PreMeshRecord> find(uint64_t netns) const override {
    TRY(faulty(faults, "find"));
    const auto it = records.find(netns);
    if (it == records.end()) return base::fail(base::ErrorKind::kNotFound, "no record");
    return it->second;
  }
  base::Status forget(uint64_t netns) override {
    records.erase(netns);
    return {};
  }
  void keep_only(const std::set<uint64_t>& netns) override {
    std::erase_if(records, [&](const auto& entry) { return !netns.contains(entry.first); });
  }
  std::map<uint64_t, enrol::PreMeshRecord> records;
  std::set<std::string> faults;
};

// Answers when the test says so.
struct FakeTester final : enrol::SelfTester {
  void start(int, const base::SocketAddress& target, enrol::SelfTestDone done) override {
    targets.push_back(target);
    waiting.push_back(std::move(done));
  }
  void answer_all(const std::string& failure) {
    for (auto& done : std::exchange(waiting, {})) done(failure);
  }
  std::vector<base::SocketAddress> targets;
  std::vector<enrol::SelfTestDone> waiting;
};

}  // namespace weft::test
