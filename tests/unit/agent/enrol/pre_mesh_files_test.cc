#include "agent/enrol/pre_mesh_files.h"

#include <gtest/gtest.h>

#include <fstream>

#include "agent/enrol/pre_mesh.h"
#include "tests/support/scratch_dir.h"

namespace weft::enrol {
namespace {

struct PreMeshFilesTest : testing::Test {
  [[nodiscard]] std::string text_of(const std::string& name) const {
    std::ifstream in(scratch / ("records/" + name));
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(scratch / ("records/" + name)) << text;
  }
  test::ScratchDir scratch;
  PreMeshFiles files{scratch / "records", "boot-1"};
  const PreMeshRecord record{
      .enrolled_at = base::Instant(base::Nanos(77)), .unlisted = 2, .late = true, .cookies = {5, 1ULL << 63}};
};

TEST_F(PreMeshFilesTest, what_one_agent_writes_the_next_one_reads) {
  ASSERT_TRUE(files.put(100, record));
  const PreMeshFiles next(scratch / "records", "boot-1");
  ASSERT_TRUE(next.find(100));
  EXPECT_EQ(*next.find(100), record);
  EXPECT_EQ(next.find(101).error().kind, base::ErrorKind::kNotFound);
  const auto rights = std::filesystem::status(scratch / "records").permissions();
  EXPECT_EQ(rights, std::filesystem::perms::owner_all);
}

TEST_F(PreMeshFilesTest, a_record_of_another_boot_counts_for_nothing) {
  ASSERT_TRUE(files.put(100, record));
  EXPECT_EQ(PreMeshFiles(scratch / "records", "boot-2").find(100).error().kind, base::ErrorKind::kNotFound);
}

TEST_F(PreMeshFilesTest, half_a_record_or_another_file_is_refused) {
  ASSERT_TRUE(files.put(100, record));
  const std::string good = text_of("100");
  const std::string huge = std::to_string(PreMeshConnections::kRemembered + 1);
  for (const std::string& text : {std::string(), good.substr(0, good.size() - 5), std::string("weft-pre-mesh-1 boot-1 7"),
                                  "weft-pre-mesh-1 boot-1 7 0 0 " + huge + "\n1\nend\n",
                                  std::string("weft-pre-mesh-1 boot-1 7 0 0 2\n1\n1\nend\n"),
                                  std::string("weft-pre-mesh-9 boot-1 7 0 0 0\nend\n"), std::string("\0\xff\n", 3)}) {
    write("100", text);
    const auto read = files.find(100);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().kind, base::ErrorKind::kInvalid) << text;
  }
}

TEST_F(PreMeshFilesTest, what_is_forgotten_is_gone_and_forgetting_twice_is_fine) {
  ASSERT_TRUE(files.put(100, record));
  EXPECT_TRUE(files.forget(100));
  EXPECT_TRUE(files.forget(100));
  EXPECT_FALSE(files.find(100));
}

TEST_F(PreMeshFilesTest, of_pods_that_are_not_there_any_more_nothing_stays) {
  files.keep_only({});  // there is no directory yet
  ASSERT_TRUE(files.put(100, record));
  ASSERT_TRUE(files.put(200, record));
  write("200.tmp", "half");
  files.keep_only({100});
  EXPECT_TRUE(files.find(100));
  size_t left = 0;
  for ([[maybe_unused]] const auto& one : std::filesystem::directory_iterator(scratch / "records")) ++left;
  EXPECT_EQ(left, 1u);
}

TEST_F(PreMeshFilesTest, a_place_where_nothing_can_be_written_is_an_error) {
  PreMeshFiles nowhere(scratch / "no/such/place", "boot-1");
  EXPECT_FALSE(nowhere.put(100, record));
  EXPECT_TRUE(nowhere.forget(100));
}

}  // namespace
}  // namespace weft::enrol
