#include "userspace-proxy/worker/fleet.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <thread>

#include "userspace-proxy/worker/admin.h"

namespace weft::worker {
namespace {

// A fleet whose agent never comes.
struct FleetTest : testing::Test {
  FleetTest() { fleet->start(); }
  ~FleetTest() override {
    fleet->drain({.limit = base::Millis(100)});
    loop->run();
  }
  // Runs the main loop meanwhile, as main does.
  template <typename Work>
  auto meanwhile(Work work) {
    decltype(work()) value{};
    std::atomic<bool> done = false;
    std::thread thread([&] {
      value = work();
      done = true;
    });
    while (!done) loop->turn(5);
    thread.join();
    return value;
  }

  base::SystemClock clock;
  std::unique_ptr<base::Loop> loop = std::move(*base::Loop::create(clock));
  observe::LogWriter log{base::Fd(::open("/dev/null", O_WRONLY | O_CLOEXEC))};
  std::unique_ptr<Fleet> fleet = std::move(
      *Fleet::create(*loop, clock, log, {.workers = 2, .agent_socket = "/nonexistent/weft-test.sock"}));
};

double value_of(const observe::Gathered& gathered, const std::string& name) {
  for (const auto& value : gathered.process)
    if (value.name == name) return value.value;
  return -1;
}

TEST_F(FleetTest, gathers_the_numbers_of_every_worker_from_another_thread) {
  const auto gathered = meanwhile([&] { return fleet->gather(); });
  EXPECT_EQ(gathered.workers.size(), 2u);
  EXPECT_EQ(value_of(gathered, "weft_proxy_workers"), 2);
  EXPECT_EQ(value_of(gathered, "weft_proxy_workers_silent"), 0);
  EXPECT_EQ(value_of(gathered, "weft_proxy_agent_connected"), 0);
}

TEST_F(FleetTest, is_not_ready_before_the_agent_has_spoken_and_says_what_it_waits_for) {
  const auto reply = answer_ready(fleet->health(), {.method = "GET", .path = "/healthz/ready"});
  EXPECT_EQ(reply.code, 500);
  EXPECT_EQ(reply.body, "waiting for the first configuration from the agent\n");
  EXPECT_EQ(answer_ready(fleet->health(), {.method = "GET", .path = "/"}).code, 404);
}

TEST_F(FleetTest, serves_metrics_under_both_names_and_nothing_else) {
  for (const char* path : {"/metrics", "/stats/prometheus"}) {
    const auto reply = meanwhile([&] { return answer_metrics(*fleet, {.method = "GET", .path = path}); });
    EXPECT_EQ(reply.code, 200);
    EXPECT_NE(reply.body.find("weft_proxy_connections_accepted_total 0"), std::string::npos);
  }
  EXPECT_EQ(answer_metrics(*fleet, {.method = "GET", .path = "/other"}).code, 404);
  EXPECT_EQ(answer_metrics(*fleet, {.method = "POST", .path = "/metrics"}).code, 405);
}

TEST_F(FleetTest, the_admin_port_answers_what_it_promises) {
  int quits = 0;
  const auto ask = [&](const char* method, const char* path, const char* query) {
    return meanwhile([&] { return answer_admin(*fleet, [&] { ++quits; }, {method, path, query}); });
  };
  EXPECT_EQ(ask("POST", "/logging", "access=on").body, "access log on\n");
  EXPECT_EQ(ask("POST", "/logging", "access=off&level=warn").body, "access log off\nlog level warn\n");
  EXPECT_EQ(ask("POST", "/logging", "level=loud").code, 400);
  EXPECT_EQ(ask("GET", "/logging", "access=on").code, 405);
  EXPECT_NE(ask("GET", "/config_dump", "").body.find("\"snapshot\":0"), std::string::npos);
  EXPECT_NE(ask("GET", "/stats", "").body.find("dials 0\n"), std::string::npos);
  EXPECT_EQ(ask("GET", "/quitquitquit", "").code, 405);
  EXPECT_EQ(ask("POST", "/quitquitquit", "").code, 200);
  EXPECT_EQ(quits, 1);
  EXPECT_EQ(ask("GET", "/nothing", "").code, 404);
}

}  // namespace
}  // namespace weft::worker
