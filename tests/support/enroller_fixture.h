#pragma once
// An Enroller among fakes, and one pod for it.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/enrol_fakes.h"
#include "tests/support/fake_clock.h"

namespace weft::enrol {

inline weft_address v4_of(const char* text) {
  weft_address out{};
  const auto address = *base::Address::parse(text);
  std::copy(address.bytes.begin(), address.bytes.end(), std::begin(out.bytes));
  return out;
}

inline DesiredPod web_pod() {
  DesiredPod pod{.name = "dev/web", .netns_path = "/run/netns/web"};
  pod.entry = {
      .pod_id = 1, .identity = 5, .flags = WEFT_POD_STRICT, .listener_slot = 8, .ipv4 = v4_of("10.0.0.7")};
  return pod;
}

struct EnrollerTest : testing::Test {
  void SetUp() override {
    loop = *base::Loop::create(clock);
    add_place("/run/netns/web", 100);
    start_agent();
  }
  void TearDown() override { stop_agent(); }

  void start_agent() {
    const auto open = [this](const std::string& path) -> base::Result<std::unique_ptr<PodNetns>> {
      if (!places.contains(path)) return base::fail(base::ErrorKind::kNotFound, "open " + path);
      return std::make_unique<test::FakeNetns>(diary, places.at(path));
    };
    const auto find = [this](uint64_t cookie) -> base::Result<std::unique_ptr<PodNetns>> {
      for (const auto& [path, place] : places)
        if (place->cookie == cookie) return std::make_unique<test::FakeNetns>(diary, place);
      return base::fail(base::ErrorKind::kNotFound, "nobody there");
    };
    enroller = std::make_unique<Enroller>(
        *loop, EnrolDoors{kernel, outlet, tester, open, find, &memory},
        EnrolOptions{.self_test_v4 = *base::SocketAddress::parse("192.0.2.1:15021"),
                     .self_test_v6 = *base::SocketAddress::parse("[2001:db8::1]:15021")});
    ASSERT_TRUE(enroller->adopt());
  }
  void stop_agent() {
    enroller.reset();
    loop->turn(0);
  }

  std::shared_ptr<test::FakePlace> add_place(const std::string& path, uint64_t cookie) {
    auto place = std::make_shared<test::FakePlace>();
    place->path = path;
    place->cookie = cookie;
    return places[path] = place;
  }
  void enrol(const std::vector<DesiredPod>& pods) {
    enroller->release_absent(pods);
    enroller->enrol(pods);
  }
  void connect_proxy(publish::ProxyId id = 1) {
    enroller->on_proxy_ready(id);
    loop->turn(0);
  }
  void pass(base::Nanos time) {
    for (base::Nanos done{0}; done < time; done += base::Millis(100)) {
      clock.advance(base::Millis(100));
      loop->turn(0);
    }
  }
  void make_captured(const DesiredPod& pod = web_pod()) {
    connect_proxy();
    enrol({pod});
    pass(base::Millis(400));
    tester.answer_all("");
    ASSERT_TRUE(enroller->ready());
    diary.clear();
  }
  uint64_t repairs(Repair repair) { return enroller->metrics().repairs[static_cast<size_t>(repair)]; }

  test::FakeClock clock;
  test::Diary diary;
  test::FakeKernel kernel{diary};
  test::FakeOutlet outlet;
  test::FakeTester tester;
  test::FakeMemory memory;
  std::map<std::string, std::shared_ptr<test::FakePlace>> places;
  std::unique_ptr<base::Loop> loop;
  std::unique_ptr<Enroller> enroller;
};

}  // namespace weft::enrol
