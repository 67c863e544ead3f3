#include "agent/install/check.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "agent/parse/json.h"
#include "tests/support/scratch_dir.h"

namespace weft::install {
namespace {

Check check(std::string id, std::string section, Verdict verdict) {
  return {std::move(id), std::move(section), "a text", verdict, "", "", 3};
}

Verdict verdict_of(const std::vector<Check>& checks, std::string_view id) {
  for (const Check& one : checks)
    if (one.id == id) return one.verdict;
  ADD_FAILURE() << id;
  return Verdict::kSkipped;
}

// A machine's files, below a directory.
class Machine {
 public:
  explicit Machine(const std::string& mountinfo, bool btf) {
    std::filesystem::create_directories(dir_ / "proc/self");
    std::filesystem::create_directories(dir_ / "sys/kernel/btf");
    std::ofstream(dir_ / "proc/self/mountinfo") << mountinfo;
    if (btf) std::ofstream(dir_ / "sys/kernel/btf/vmlinux") << "x";
  }
  [[nodiscard]] const std::string& root() const { return dir_.path(); }

 private:
  test::ScratchDir dir_;
};

constexpr const char* kHybrid =
    "30 23 0:26 / /sys/fs/cgroup ro shared:9 - tmpfs tmpfs ro\n"
    "31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:10 master:1 - cgroup2 cgroup2 rw\n"
    "33 23 0:29 / /sys/fs/bpf rw - bpf bpf rw\n";

TEST(Check, exit_codes_tell_errors_from_warnings_and_warnings_count_only_when_strict) {
  const std::vector<Check> good = {check("a", "s", Verdict::kOk)};
  const std::vector<Check> warned = {check("a", "s", Verdict::kOk), check("b", "s", Verdict::kWarning)};
  const std::vector<Check> failed = {check("a", "s", Verdict::kError), check("b", "s", Verdict::kWarning)};
  const std::vector<Check> skipped = {check("a", "s", Verdict::kSkipped)};
  EXPECT_EQ(exit_code_of(good, true), 0);
  EXPECT_EQ(exit_code_of(warned, false), 0);
  EXPECT_EQ(exit_code_of(warned, true), 2);
  EXPECT_EQ(exit_code_of(failed, false), 1);
  EXPECT_EQ(exit_code_of(skipped, true), 2) << "what was skipped is no success";
}

TEST(Check, the_text_names_each_id_once_with_reason_and_next_step) {
  Check bad = check("api-rights", "API", Verdict::kError);
  bad.reason = "may not";
  bad.hint = "ask";
  const std::string text = checks_text({check("api-version", "API", Verdict::kOk), bad});
  EXPECT_NE(text.find("FAIL  api-rights"), std::string::npos) << text;
  EXPECT_NE(text.find("next: ask"), std::string::npos);
  EXPECT_NE(text.find("2 checks: 1 ok, 0 warnings, 1 errors, 0 skipped"), std::string::npos);
}

TEST(Check, json_has_categories_with_their_checks_and_says_if_all_is_well) {
  const auto json = parse::read_json(checks_json({check("a", "One", Verdict::kOk), check("b", "One", Verdict::kWarning),
                                                  check("c", "Two", Verdict::kError)}));
  ASSERT_TRUE(json);
  EXPECT_FALSE(json->at({"success"}).as_bool());
  const auto& categories = json->at({"categories"}).items();
  ASSERT_EQ(categories.size(), 2u);
  EXPECT_EQ(categories[0].at({"checks"}).items().size(), 2u);
  EXPECT_EQ(categories[1].at({"checks"}).items()[0].at({"result"}).as_string(), "error");
}

TEST(Check, a_good_machine_passes_also_with_both_versions_of_cgroups) {
  const Machine machine(kHybrid, true);
  const auto checks = check_machine(machine.root(), "6.1.0-18-amd64");
  for (const char* id : {"node-kernel", "node-btf", "node-cgroup", "node-bpffs"})
    EXPECT_EQ(verdict_of(checks, id), Verdict::kOk) << id;
  EXPECT_EQ(verdict_of(checks, "node-hooks"), Verdict::kSkipped);
}

TEST(Check, what_a_machine_lacks_is_named) {
  const Machine machine("30 23 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n33 23 0:29 / /elsewhere rw - bpf bpf rw\n", false);
  const auto checks = check_machine(machine.root(), "5.10.0");
  for (const char* id : {"node-kernel", "node-btf", "node-cgroup", "node-bpffs"})
    EXPECT_EQ(verdict_of(checks, id), Verdict::kError) << id;
  for (const Check& one : checks) EXPECT_FALSE(one.hint.empty()) << one.id;
}

TEST(Check, kernel_releases_are_read_as_numbers) {
  EXPECT_TRUE(kernel_is_at_least("5.15.0", 5, 15));
  EXPECT_TRUE(kernel_is_at_least("6.1", 5, 15));
  EXPECT_FALSE(kernel_is_at_least("5.4.250", 5, 15));
  EXPECT_FALSE(kernel_is_at_least("4.19.0", 5, 15));
  EXPECT_FALSE(kernel_is_at_least("", 5, 15));
  EXPECT_FALSE(kernel_is_at_least("x.y", 5, 15));
}

}  // namespace
}  // namespace weft::install
