#include "agent/ctl/manifest.h"

#include <gtest/gtest.h>

namespace weft::ctl {
namespace {

constexpr const char* kTwo = R"(# two objects
apiVersion: v1
kind: ServiceAccount
metadata:
  name: first
  namespace: dev
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: second  # kept
  namespace: dev
)";

TEST(Manifest, documents_keep_their_lines_so_that_later_findings_point_at_the_file) {
  Loaded loaded;
  read_manifest(kTwo, "two.yaml", "default", &loaded);
  ASSERT_TRUE(loaded.findings.empty()) << objects::to_string(loaded.findings[0]);
  ASSERT_EQ(loaded.manifests.size(), 2u);
  EXPECT_EQ(loaded.manifests[1].name, (sandbox::ObjectName{"ServiceAccount", "dev", "second"}));
  EXPECT_EQ(loaded.manifests[1].text,
            "\n\n\n\n\n\n\napiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: second  # kept\n  "
            "namespace: dev\n");
  EXPECT_EQ(loaded.manifests[0].text.find("second"), std::string::npos);
}

TEST(Manifest, a_namespace_is_given_to_objects_that_name_none) {
  Loaded loaded;
  read_manifest("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\n", "a.yaml", "dev", &loaded);
  ASSERT_EQ(loaded.manifests.size(), 1u);
  EXPECT_EQ(loaded.manifests[0].name.ns, "dev");
  EXPECT_EQ(sandbox::text_at(loaded.manifests[0].object, "metadata.namespace"), "dev");
  EXPECT_TRUE(loaded.manifests[0].text.empty());
}

TEST(Manifest, faults_name_file_line_and_column) {
  Loaded loaded;
  read_manifest("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  portz: []\n", "bad.yaml", "dev",
                &loaded);
  ASSERT_FALSE(loaded.findings.empty());
  EXPECT_TRUE(loaded.manifests.empty());
  EXPECT_TRUE(objects::to_string(loaded.findings[0]).starts_with("bad.yaml:5:3: error"))
      << objects::to_string(loaded.findings[0]);
  Loaded broken;
  read_manifest("a: [1\n", "broken.yaml", "dev", &broken);
  ASSERT_FALSE(broken.findings.empty());
  EXPECT_TRUE(broken.manifests.empty());
}

TEST(Manifest, the_items_of_a_list_are_objects_of_their_own) {
  Loaded loaded;
  read_manifest(
      "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n"
      "- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n",
      "list.yaml", "default", &loaded);
  ASSERT_TRUE(loaded.findings.empty()) << objects::to_string(loaded.findings[0]);
  ASSERT_EQ(loaded.manifests.size(), 2u);
  EXPECT_EQ(loaded.manifests[1].name.name, "b");
}

}  // namespace
}  // namespace weft::ctl
