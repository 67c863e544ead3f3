// The CA's files: made once, plugged in, changed under way.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "agent/ca/authority.h"
#include "agent/ca/certificate.h"
#include "agent/ca/signer.h"
#include "tests/support/fake_clock.h"
#include "tests/support/scratch_dir.h"
#include "tests/support/test_ca.h"

using namespace weft;
using namespace weft::ca;

namespace {

mode_t mode_of(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

class CaDirectory : public testing::Test {
 protected:
  void put(const std::string& path, const std::string& text) { ASSERT_TRUE(write_file(path, text, 0600)); }
  void plug(const std::string& certificate, const std::string& key, const std::string& roots, const std::string& chain = "") {
    put(files_.key, key);
    put(files_.roots, roots);
    if (!chain.empty()) put(files_.chain, chain);
    put(files_.certificate, certificate);
  }
  std::string refusal() const {
    const auto signer = read_signer(files_, now_);
    return signer ? "taken" : base::describe(signer.error());
  }

  test::ScratchDir dir_;
  const CaFiles files_{dir_.path()};
  const base::WallTime now_ = base::SystemClock().wall_now();
};

TEST_F(CaDirectory, an_empty_one_gets_a_root_that_control_alone_can_sign_with) {
  ASSERT_TRUE(ensure_root(dir_.path(), "cluster.local", now_));
  EXPECT_EQ(mode_of(files_.key), 0600u);
  EXPECT_EQ(mode_of(files_.certificate), 0644u);
  EXPECT_EQ(mode_of(files_.roots), 0644u);
  const auto signer = read_signer(files_, now_);
  ASSERT_TRUE(signer) << base::describe(signer.error());
  EXPECT_TRUE((*signer)->intermediates.empty());
  EXPECT_EQ((*signer)->roots, 1u);
  char group[32];
  ASSERT_EQ(EVP_PKEY_get_group_name((*signer)->key.get(), group, sizeof group, nullptr), 1);
  EXPECT_STREQ(group, "prime256v1");
  EXPECT_GT((*signer)->not_after, now_ + std::chrono::hours(24 * 3600));
}

TEST_F(CaDirectory, a_second_start_changes_nothing) {
  ASSERT_TRUE(ensure_root(dir_.path(), "cluster.local", now_));
  const auto key = read_file(files_.key).value(), certificate = read_file(files_.certificate).value();
  ASSERT_TRUE(ensure_root(dir_.path(), "cluster.local", now_));
  EXPECT_EQ(read_file(files_.key).value(), key);
  EXPECT_EQ(read_file(files_.certificate).value(), certificate);
}

// Each sees, at once after its own start, the signer that is there at the end.
TEST_F(CaDirectory, replicas_that_start_at_once_have_one_root) {
  constexpr int kReplicas = 6;
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  for (int i = 0; i < kReplicas; ++i) {
    if (::fork() != 0) continue;
    const bool made = ensure_root(dir_.path(), "cluster.local", now_).has_value();
    const auto key = read_file(files_.key);
    const size_t hash = made && key && read_signer(files_, now_) ? std::hash<std::string>{}(*key) : 0;
    _exit(::write(pipe[1], &hash, sizeof hash) == sizeof hash ? 0 : 1);
  }
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < kReplicas; ++i)
    threads.emplace_back([&] { good += ensure_root(dir_.path(), "cluster.local", now_).has_value(); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, kReplicas);
  const size_t expected = std::hash<std::string>{}(read_file(files_.key).value());
  for (int i = 0; i < kReplicas; ++i) {
    size_t hash = 0;
    ASSERT_EQ(::read(pipe[0], &hash, sizeof hash), static_cast<ssize_t>(sizeof hash));
    EXPECT_EQ(hash, expected);
  }
  while (::wait(nullptr) > 0) {
  }
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_F(CaDirectory, half_of_somebodys_files_is_left_alone) {
  const test::TestCa own;
  put(files_.key, own.key_pem());
  const auto made = ensure_root(dir_.path(), "cluster.local", now_);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, base::ErrorKind::kConflict);
  EXPECT_NE(made.error().what.find("ca-cert.pem is missing"), std::string::npos);
  EXPECT_EQ(read_file(files_.key).value(), own.key_pem());
}

TEST_F(CaDirectory, half_of_a_root_of_a_dead_writer_is_made_anew) {
  put(dir_ / ".making", "");
  put(files_.key, "half");
  ASSERT_TRUE(ensure_root(dir_.path(), "cluster.local", now_));
  EXPECT_EQ(refusal(), "taken");
  EXPECT_FALSE(exists(dir_ / ".making"));
}

TEST_F(CaDirectory, an_intermediate_signs_and_travels_without_its_root) {
  const test::TestCa root("root"), middle = root.intermediate("middle"), low = middle.intermediate("low");
  plug(low.certificate_pem(), low.key_pem(), root.certificate_pem(),
       low.certificate_pem() + middle.certificate_pem() + root.certificate_pem());
  const auto signer = read_signer(files_, now_);
  ASSERT_TRUE(signer) << base::describe(signer.error());
  ASSERT_EQ((*signer)->intermediates.size(), 2u);
  EXPECT_EQ((*signer)->intermediates[0], low.certificate_pem());
  EXPECT_EQ((*signer)->intermediates[1], middle.certificate_pem());
  EXPECT_EQ((*signer)->roots_pem, root.certificate_pem());
}

TEST_F(CaDirectory, an_intermediate_that_is_itself_an_anchor_makes_the_chain_short) {
  const test::TestCa root("root"), middle = root.intermediate("middle");
  plug(middle.certificate_pem(), middle.key_pem(), middle.certificate_pem());
  EXPECT_TRUE(read_signer(files_, now_).value()->intermediates.empty());
  // With its own root beside it, it travels: not every peer takes an anchor that does not sign itself.
  put(files_.roots, root.certificate_pem() + middle.certificate_pem());
  const auto signer = read_signer(files_, now_).value();
  EXPECT_EQ(signer->intermediates.size(), 1u);
  EXPECT_EQ(signer->roots, 2u);
}

TEST_F(CaDirectory, what_does_not_hold_together_is_refused_with_its_reason) {
  const test::TestCa root("root"), other("other"), middle = root.intermediate("middle");
  plug(root.certificate_pem(), other.key_pem(), root.certificate_pem());
  EXPECT_NE(refusal().find("not the key of"), std::string::npos) << refusal();
  plug(root.certificate_pem(), root.key_pem(), other.certificate_pem());
  EXPECT_NE(refusal().find("not below any of the 1 roots"), std::string::npos) << refusal();
  const auto leaf = root.issue();
  plug(leaf.certificate_pem, leaf.key_pem, root.certificate_pem());
  EXPECT_NE(refusal().find("not a CA certificate"), std::string::npos) << refusal();
  plug(root.certificate_pem(), root.key_pem(), "");
  EXPECT_NE(refusal().find("root-cert.pem: certificates: none"), std::string::npos) << refusal();
  plug(root.certificate_pem(), root.key_pem(), root.certificate_pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  EXPECT_NE(refusal().find("broken PEM"), std::string::npos) << refusal();
  plug(middle.certificate_pem(), middle.key_pem(), root.certificate_pem());
  EXPECT_EQ(refusal(), "taken");
  EXPECT_FALSE(read_signer(files_, now_ + std::chrono::hours(24 * 365 * 30)));
}

TEST_F(CaDirectory, the_five_steps_of_a_root_rotation_are_followed_and_the_wrong_order_is_refused) {
  const test::TestCa old_root("old"), new_root("new");
  plug(old_root.certificate_pem(), old_root.key_pem(), old_root.certificate_pem());
  auto authority = Authority::open(dir_.path(), "cluster.local", now_).value();
  EXPECT_FALSE(authority->refresh(now_));
  // Wrong order: sign with the new one before the bundle holds it.
  put(files_.key, new_root.key_pem());
  put(files_.certificate, new_root.certificate_pem());
  EXPECT_FALSE(authority->refresh(now_));
  EXPECT_NE(authority->problem().find("not below any"), std::string::npos);
  EXPECT_EQ(authority->signer()->roots_pem, old_root.certificate_pem());
  EXPECT_EQ(authority->refused(), 1u);
  // Right: both roots, then the signer, then the old root goes.
  plug(old_root.certificate_pem(), old_root.key_pem(), old_root.certificate_pem() + new_root.certificate_pem());
  EXPECT_TRUE(authority->refresh(now_));
  EXPECT_EQ(authority->problem(), "");
  EXPECT_EQ(authority->signer()->roots, 2u);
  plug(new_root.certificate_pem(), new_root.key_pem(), old_root.certificate_pem() + new_root.certificate_pem());
  EXPECT_TRUE(authority->refresh(now_));
  put(files_.roots, new_root.certificate_pem());
  EXPECT_TRUE(authority->refresh(now_));
  EXPECT_EQ(grpc::write_certificate(*authority->signer()->certificate), new_root.certificate_pem());
  EXPECT_EQ(authority->generation(), 4u);
}

TEST_F(CaDirectory, a_signer_that_is_not_valid_yet_is_taken_when_its_time_comes) {
  ASSERT_TRUE(ensure_root(dir_.path(), "cluster.local", now_));
  auto authority = Authority::open(dir_.path(), "cluster.local", now_).value();
  test::ScratchDir later;
  const auto then = now_ + std::chrono::hours(1);
  ASSERT_TRUE(ensure_root(later.path(), "cluster.local", then));
  const CaFiles next(later.path());
  plug(read_file(next.certificate).value(), read_file(next.key).value(), read_file(next.roots).value(), read_file(next.chain).value());
  EXPECT_FALSE(authority->refresh(now_));
  EXPECT_NE(authority->problem().find("not yet valid"), std::string::npos) << authority->problem();
  EXPECT_FALSE(authority->refresh(now_));
  EXPECT_EQ(authority->refused(), 1u) << "said and counted once";
  EXPECT_TRUE(authority->refresh(then));
  EXPECT_EQ(authority->problem(), "");
}

TEST_F(CaDirectory, files_that_go_away_leave_the_signer_in_force) {
  auto authority = Authority::open(dir_ / "new", "cluster.local", now_).value();
  const auto before = authority->signer();
  ASSERT_EQ(::unlink(CaFiles(dir_ / "new").roots.c_str()), 0);
  EXPECT_FALSE(authority->refresh(now_));
  EXPECT_NE(authority->problem().find("is not there"), std::string::npos);
  EXPECT_EQ(authority->signer(), before);
}

}  // namespace
