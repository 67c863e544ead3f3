#pragma once
// Inside of connect/: one dial.
#include <array>
#include <list>
#include <string>

#include "userspace-proxy/connect/stock_dialer.h"

namespace weft::connect {

// What the caller holds; cuts the attempt off when it dies first.
class StockDialer::Handle final : public Dial {
 public:
  explicit Handle(Attempt& attempt) : attempt_(&attempt) {}
  ~Handle() override;
  void let_go() { attempt_ = nullptr; }

 private:
  Attempt* attempt_;
};

//   kStart --> kWaiting (no stock) --> kConnecting --> kDone
//     |            \__ time is up __________________----^
//     +--> kConnecting (stock)  --> kFailing (connect() failed at once; told in the next turn) --> kDone
class StockDialer::Attempt final : public base::Retirable, private base::IoHandler {
 public:
  enum class Step : uint8_t { kStart, kWaiting, kConnecting, kFailing, kDone, kCount };

  Attempt(StockDialer& dialer, const DialTarget& target, DialHandler& handler);
  ~Attempt() override;

  [[nodiscard]] std::unique_ptr<Dial> begin();
  // Takes what the stock has and connects. False: it wants a socket more than there are.
  bool try_again();
  void cancel();
  [[nodiscard]] const std::string& pod() const { return pod_; }

  std::list<std::unique_ptr<Attempt>>::iterator place;  // in StockDialer::attempts_

 private:
  static constexpr int kTries = 3;

  void settle(int error);  // of connect(), or 0
  [[nodiscard]] bool take_socket();
  [[nodiscard]] int connect_now();
  [[nodiscard]] int bind_client();
  void wait_for_socket();
  void on_io(uint32_t events) override;
  void on_time_up();
  void fail(int sys_errno);
  void finish(base::Result<std::unique_ptr<base::Transport>> outcome);
  void enter(Step step);
  void count_failure(int sys_errno);

  StockDialer& dialer_;
  DialHandler& handler_;
  Handle* handle_ = nullptr;
  std::string pod_;
  base::SocketAddress destination_;
  std::optional<base::SocketAddress> client_;
  base::Timer timer_;
  base::Fd socket_;
  int sys_errno_ = 0;
  int tries_left_ = kTries;
  Step step_ = Step::kStart;
  bool registered_ = false;  // in epoll
};

}  // namespace weft::connect
