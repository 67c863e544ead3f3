// Connections of before a pod was enrolled, on the real kernel: which of them there are, and leave, drain and cut.
// The topology is that of enrol_fixture.h; the node's addresses play the peers.
#include <array>

#include "tests/netns/enrol_fixture.h"

namespace weft::enrol {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Both ways at once, as after a reset; a peer's farewell is no hang-up.
bool has_ended(const base::Fd& socket) {
  pollfd ready{.fd = socket.get(), .events = POLLIN, .revents = 0};
  return poll(&ready, 1, 0) == 1 && (ready.revents & POLLHUP) != 0;
}

class PreMeshNetnsTest : public EnrolTest {
 protected:
  void SetUp() override {
    const base::Fd v4 = listen_in_pod("10.77.0.2:8080"), both = listen_in_pod("[::]:8081");
    const base::Fd at_home = listen_in_pod("127.0.0.1:8082");
    before_.push_back(open_pair(in_pod(), kRemoteV4, server_v4_));
    before_.push_back(open_pair(in_pod(), kRemoteV6, server_v6_));
    before_.push_back(open_pair({&node_.netns()}, "10.77.0.2:8080", v4));
    before_.push_back(open_pair({&node_.netns()}, "10.77.0.2:8081", both));  // an IPv6 socket that carries IPv4
    before_.push_back(open_pair({&node_.netns()}, "[fd77::2]:8081", both));
    inside_ = open_pair(in_pod(), "127.0.0.1:8082", at_home);
    for (const Pair& pair : before_) ASSERT_TRUE(pair.carries());
    ASSERT_TRUE(inside_.carries());
  }
  void wait(milliseconds time) {
    until([] { return false; }, time);
  }
  [[nodiscard]] PreMesh seen() const { return enroller_->status()[0].pre_mesh; }
  [[nodiscard]] bool all_carry() const { return std::ranges::all_of(before_, &Pair::carries); }
  [[nodiscard]] bool all_ended() const {
    return std::ranges::all_of(before_, [](const Pair& p) { return has_ended(p.client) && has_ended(p.server); });
  }
  // A connection of the mesh, which the proxy greets and echoes.
  void open_of_mesh() {
    of_mesh_ = test::value_inside(in_pod(), [] { return dial(kRemoteV4); });
    EXPECT_EQ(mesh_says(""), "outbound 10.99.0.5:7000 from 10.77.0.2\n");
  }
  std::string mesh_says(const std::string& text) {
    (void)!send(of_mesh_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    std::string heard;
    until([&] {
      std::array<char, 128> buffer;
      const ssize_t got = recv(of_mesh_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got > 0) heard.assign(buffer.data(), static_cast<size_t>(got));
      return !heard.empty();
    }, seconds(1));
    return heard;
  }

  std::vector<Pair> before_;
  Pair inside_;
  base::Fd of_mesh_;
};

TEST_F(PreMeshNetnsTest, LeftAloneTheyGoOnAndAreListedWhoeverOpenedThem) {
  make_captured();
  EXPECT_EQ(seen().open, before_.size());
  wait(seconds(1));
  EXPECT_TRUE(all_carry());
  EXPECT_EQ(seen().ended, 0U);
}

TEST_F(PreMeshNetnsTest, CutEndsThemInBothDirectionsAndFamiliesAndNothingElse) {
  pre_mesh_.end_after = seconds(0);
  make_captured();
  ASSERT_TRUE(until([&] { return all_ended(); }, seconds(2)));
  EXPECT_EQ(seen().ended, before_.size());
  EXPECT_EQ(seen().open, 0U);
  EXPECT_EQ(enroller_->metrics().pre_mesh_end_failures, 0U);
  EXPECT_TRUE(inside_.carries()) << "it never left the pod";
  open_of_mesh();
  wait(seconds(6));
  EXPECT_EQ(mesh_says("still here\n"), "still here\n") << "whoever calls again comes to the mesh and stays there";
}

TEST_F(PreMeshNetnsTest, ADrainLetsThemGoOnForItsTimeAndLeavesTheMeshsOwnAlone) {
  pre_mesh_.end_after = seconds(3);
  const auto begin = std::chrono::steady_clock::now();
  make_captured();
  open_of_mesh();
  before_[0] = {};  // ends by itself
  before_.erase(before_.begin());
  while (std::chrono::steady_clock::now() - begin < milliseconds(2500)) {
    ASSERT_TRUE(all_carry());
    wait(milliseconds(100));
  }
  ASSERT_TRUE(until([&] { return all_ended(); }, seconds(2)));
  EXPECT_EQ(seen().ended, before_.size()) << "one has ended by itself";
  EXPECT_TRUE(inside_.carries());
  EXPECT_EQ(mesh_says("still here\n"), "still here\n");
}

TEST_F(PreMeshNetnsTest, AnAgentThatDiesInTheMiddleOfADrainIsSucceededByOneThatEndsIt) {
  pre_mesh_.end_after = seconds(4);
  make_captured();
  enroller_.reset();
  loop_->turn(0);
  wait(milliseconds(500));
  make_captured();
  EXPECT_TRUE(all_carry());
  open_of_mesh();
  ASSERT_TRUE(until([&] { return all_ended(); }, seconds(6)));
  EXPECT_EQ(mesh_says("still here\n"), "still here\n");
}

}  // namespace
}  // namespace weft::enrol
