#pragma once
#include <sys/types.h>

#include <optional>

#include "agent/enrol/netlink.h"
#include "agent/enrol/pod_netns.h"

namespace weft::enrol {

// A PodNetns of the running kernel. Owned by whoever enrols the pod, in that thread. What has to be done
// inside runs in a thread that is made for it and ends with it.
class SystemNetns final : public PodNetns {
 public:
  static base::Result<std::unique_ptr<PodNetns>> open(const std::string& path, const Steering& steering);
  // Any process's namespace with this cookie, by way of /proc; kNotFound when it has none any more.
  static base::Result<std::unique_ptr<PodNetns>> find(uint64_t cookie, const Steering& steering);

  [[nodiscard]] int fd() const override { return fd_.get(); }
  [[nodiscard]] uint64_t cookie() const override { return cookie_; }
  [[nodiscard]] bool is_at(const std::string& path) const override;
  base::Status prepare() override;
  [[nodiscard]] bool is_prepared() const override;
  base::Result<std::vector<base::Fd>> make_listeners(model::Family family, size_t count) override;
  base::Result<std::vector<base::Fd>> make_stock(model::StockKind kind, model::Family family,
                                                 size_t count) override;
  base::Status add_route(model::Family family, const base::Address& source) override;
  base::Status add_rule(model::Family family) override;
  base::Result<bool> has_route(model::Family family) override;
  base::Result<bool> has_rule(model::Family family) override;
  base::Status remove_route(model::Family family) override;
  base::Status remove_rule(model::Family family) override;
  base::Result<size_t> marked_connections() override;
  base::Result<std::vector<ArrivedConnection>> arrived() override;
  base::Result<std::vector<ArrivedConnection>> uncarried() override;
  base::Status cut(const ArrivedConnection& connection) override;
  [[nodiscard]] int changes_fd() const override { return changes_.get(); }
  void forget_changes() override;

 private:
  SystemNetns(base::Fd fd, dev_t device, ino_t inode, const Steering& steering)
      : fd_(std::move(fd)), device_(device), inode_(inode), steering_(steering) {}
  base::Status look_inside();

  base::Fd fd_;
  dev_t device_;
  ino_t inode_;
  const Steering steering_;
  uint64_t cookie_ = 0;
  base::Fd changes_;
  std::vector<base::Fd> switches_;  // sysctl files; an open one keeps to its namespace
  std::optional<Netlink> route_, diag_;
};

// Containers see /proc/sys read-only, and pods' switches are there. In this process's own view of files it becomes
// writable; nobody else's view changes. Fine if it is already.
base::Status make_switches_writable();

// Runs `work` in a fresh thread inside the namespace and waits for it.
base::Status run_inside(int netns_fd, const std::function<base::Status()>& work);

}  // namespace weft::enrol
