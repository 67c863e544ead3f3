// Files come, change, break and go; the catalogue says what that means for the objects.
#include "agent/watch/catalog.h"

#include <gtest/gtest.h>

namespace weft::watch {
namespace {

using objects::Kind;
using objects::ObjectKey;

std::string service(const std::string& name, int port = 80) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name +
         ", namespace: dev}\nspec: {ports: [{port: " + std::to_string(port) + "}]}\n";
}

class CatalogTest : public testing::Test {
 protected:
  void put(const std::string& path, const std::string& text, int64_t birth = 1000) {
    catalog_.put(path, text, objects::Time(std::chrono::seconds(birth)));
  }

  // "+dev/a:80" upsert, "-dev/a" removal, "!f.yaml:2" findings of a file; a space between.
  std::string commit() {
    std::string out;
    for (const Event& event : catalog_.commit()) out += (out.empty() ? "" : " ") + spell(event);
    return out;
  }

  std::string spell(const Event& event) {
    if (const auto* upsert = std::get_if<Upsert>(&event)) {
      last_ = upsert->object;
      const auto policy = objects::as<objects::AuthorizationPolicy>(upsert->object);
      if (policy) return "+" + policy->meta.name + (policy->refused ? ":closed" : ":good");
      const auto found = objects::as<objects::Service>(upsert->object);
      return "+" + upsert->key.ns + "/" + upsert->key.name + ":" + std::to_string(found->ports[0].port);
    }
    if (const auto* removal = std::get_if<Remove>(&event))
      return "-" + removal->key.ns + "/" + removal->key.name;
    const auto& findings = std::get<FileFindings>(event);
    said_ = findings.findings;
    return "!" + findings.file + ":" + std::to_string(findings.findings.size());
  }

  WatchCounters counters_;
  Catalog catalog_{{}, {}, counters_};
  objects::ObjectPtr last_;
  std::vector<objects::Finding> said_;
};

TEST_F(CatalogTest, objects_come_change_and_go_with_their_file) {
  put("f.yaml", service("a") + "---\n" + service("b"));
  EXPECT_EQ(commit(), "+dev/a:80 +dev/b:80");
  put("f.yaml", service("a", 81) + "---\n" + service("b"));
  EXPECT_EQ(commit(), "+dev/a:81");
  put("f.yaml", service("a", 81));
  EXPECT_EQ(commit(), "-dev/b");
  catalog_.remove("f.yaml");
  EXPECT_EQ(commit(), "-dev/a");
}

std::string policy(const std::string& spec) {
  return "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: dev}\nspec: " +
         spec + "\n";
}

TEST_F(CatalogTest, a_policy_that_was_never_good_is_replaced_by_one_that_closes) {
  put("f.yaml", policy("{action: DNEY}"));
  EXPECT_EQ(commit(), "+p:closed !f.yaml:1");
  put("f.yaml", policy("{action: DENY, rules: [{form: []}]}"));
  EXPECT_EQ(commit(), "+p:closed !f.yaml:1") << "its place in the file and its selector may be others now";
  put("f.yaml", policy("{action: DENY, rules: [{}]}"));
  EXPECT_EQ(commit(), "+p:good !f.yaml:0");
  put("f.yaml", policy("{action: DNEY}"));
  EXPECT_EQ(commit(), "!f.yaml:1") << "the last good form stays";
  put("f.yaml", policy("[]") + "---\n- 1\n");
  EXPECT_EQ(commit(), "!f.yaml:2");
  catalog_.remove("f.yaml");
  EXPECT_EQ(commit(), "-dev/p !f.yaml:0");
}

TEST_F(CatalogTest, the_same_text_is_not_even_parsed) {
  put("f.yaml", service("a"));
  (void)commit();
  put("f.yaml", service("a"));
  EXPECT_EQ(commit(), "");
  EXPECT_EQ(counters_.files_parsed, 1u);
}

TEST_F(CatalogTest, a_file_that_breaks_keeps_its_last_good_objects) {
  put("f.yaml", service("a") + "---\n" + service("b"));
  (void)commit();
  put("f.yaml", "a: [\n");
  EXPECT_EQ(commit(), "!f.yaml:1");
  put("f.yaml", service("a") + "---\n" + service("b"));
  EXPECT_EQ(commit(), "!f.yaml:0");
}

TEST_F(CatalogTest, a_refused_document_keeps_its_object_and_the_others_go_on) {
  put("f.yaml", service("a") + "---\n" + service("b"));
  (void)commit();
  put("f.yaml", service("a", 99999) + "---\n" + service("b", 82));
  EXPECT_EQ(commit(), "+dev/b:82 !f.yaml:1");
  EXPECT_EQ(said_[0].object, (ObjectKey{Kind::kService, "dev", "a"}));
  put("f.yaml", service("a", 83) + "---\n" + service("b", 82));
  EXPECT_EQ(commit(), "+dev/a:83 !f.yaml:0");
}

TEST_F(CatalogTest, a_document_that_lost_its_name_removes_nothing) {
  put("f.yaml", service("a") + "---\n" + service("b"));
  (void)commit();
  put("f.yaml", "apiVersion: v1\nkind: Service\nmetadata: {nam: a}\n---\n" + service("b"));
  // b moved by a line, hence anew; a may be what is broken.
  EXPECT_EQ(commit(), "+dev/b:80 !f.yaml:3");
  catalog_.remove("f.yaml");
  EXPECT_EQ(commit(), "-dev/a -dev/b !f.yaml:0");
}

TEST_F(CatalogTest, a_file_that_never_was_good_yields_findings_only) {
  put("f.yaml", service("a", 99999));
  EXPECT_EQ(commit(), "!f.yaml:1");
  catalog_.remove("f.yaml");
  EXPECT_EQ(commit(), "!f.yaml:0");
}

TEST_F(CatalogTest, of_two_files_the_first_seen_speaks_and_the_other_takes_over) {
  put("z.yaml", service("a", 80));
  (void)commit();
  put("b.yaml", service("a", 81));
  EXPECT_EQ(commit(), "!b.yaml:1");
  EXPECT_EQ(said_[0].code, "DuplicateObject");
  EXPECT_EQ(
      said_[0].message,
      "Service dev/a is defined in z.yaml:1 already, which was seen first; the one in b.yaml has no effect");
  put("b.yaml", service("a", 82));
  EXPECT_EQ(commit(), "");
  catalog_.remove("z.yaml");
  EXPECT_EQ(commit(), "+dev/a:82 !b.yaml:0");
}

TEST_F(CatalogTest, twice_in_one_file_the_first_counts) {
  put("f.yaml", service("a", 80) + "---\n" + service("a", 81));
  EXPECT_EQ(commit(), "+dev/a:80 !f.yaml:1");
  EXPECT_EQ(said_[0].line, 6u);
}

TEST_F(CatalogTest, a_renamed_file_is_no_removal) {
  put("a.yaml", service("a"));
  (void)commit();
  catalog_.remove("a.yaml");
  put("b.yaml", service("a"));
  EXPECT_EQ(commit(), "+dev/a:80");
  EXPECT_EQ(last_->file, "b.yaml");
}

TEST_F(CatalogTest, creation_is_the_birth_of_the_file_and_stays) {
  put("f.yaml", service("a"), 1000);
  (void)commit();
  EXPECT_EQ(last_->meta.creation, objects::Time(std::chrono::seconds(1000)));
  put("f.yaml", service("a", 81), 2000);
  (void)commit();
  EXPECT_EQ(last_->meta.creation, objects::Time(std::chrono::seconds(1000)));
  put("f.yaml", "", 3000);
  (void)commit();
  put("f.yaml", service("a", 81), 4000);
  (void)commit();
  EXPECT_EQ(last_->meta.creation, objects::Time(std::chrono::seconds(4000)));
}

TEST_F(CatalogTest, an_unreadable_file_keeps_its_objects) {
  put("f.yaml", service("a"));
  (void)commit();
  catalog_.refuse("f.yaml", {.code = "Unreadable", .file = "f.yaml", .message = "no permission"});
  EXPECT_EQ(commit(), "!f.yaml:1");
  put("f.yaml", service("a"));
  EXPECT_EQ(commit(), "!f.yaml:0");
}

TEST_F(CatalogTest, what_a_scan_did_not_see_is_removed) {
  put("a.yaml", service("a"));
  put("sub/b.yaml", service("b"));
  put("sub/c.yaml", service("c"));
  put("subject.yaml", service("d"));
  (void)commit();
  EXPECT_EQ(catalog_.remove_missing("sub/", {"sub/c.yaml"}), std::vector<std::string>{"sub/b.yaml"});
  EXPECT_EQ(commit(), "-dev/b");
  catalog_.remove_missing("", {"a.yaml"});
  EXPECT_EQ(commit(), "-dev/c -dev/d");
}

TEST_F(CatalogTest, removals_come_before_upserts) {
  put("a.yaml", service("z"));
  (void)commit();
  put("a.yaml", service("a"));
  EXPECT_EQ(commit(), "-dev/z +dev/a:80");
}

TEST_F(CatalogTest, findings_of_a_file_are_bounded) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "---\n- x\n";
  put("f.yaml", text);
  EXPECT_EQ(commit(), "!f.yaml:201");
  EXPECT_EQ(said_.back().code, "MoreFindings");
}

}  // namespace
}  // namespace weft::watch
