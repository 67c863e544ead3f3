// The tables themselves: no hole, no field twice, at any depth.
#include <gtest/gtest.h>

#include <set>

#include "agent/objects/kinds.h"
#include "agent/objects/values.h"

namespace weft::objects {
namespace {

using schema::Base;
using schema::Type;

size_t walk(const Type& type, const std::string& path, std::set<const schema::Field*>& seen) {
  if (type.base != Base::kMessage || !seen.insert(type.fields).second) return 0;
  size_t count = 0;
  std::set<std::string_view> names;
  for (size_t i = 0; i < type.field_count; ++i) {
    const schema::Field& field = type.fields[i];
    EXPECT_FALSE(field.name.empty()) << path << " has a hole at " << i;
    EXPECT_TRUE(names.insert(field.name).second) << path << "." << field.name << " occurs twice";
    if (field.type.base == Base::kChoice) {
      EXPECT_GE(split_words(field.type.words).size(), 2u) << field.name;
    }
    count += 1 + walk(field.type, path + "." + std::string(field.name), seen);
  }
  return count;
}

TEST(Schema, tables_have_no_hole_and_no_field_twice) {
  for (const KindTraits& kind : all_kinds()) {
    std::set<const schema::Field*> seen;
    EXPECT_GE(walk(*kind.schema, std::string(kind.name), seen), 17u) << kind.name;
  }
}

TEST(Schema, kinds_are_found_by_the_words_that_kubectl_takes) {
  EXPECT_EQ(kind_of("VirtualService"), Kind::kVirtualService);
  EXPECT_EQ(kind_of("virtualservices"), Kind::kVirtualService);
  EXPECT_EQ(kind_of("vs"), Kind::kVirtualService);
  EXPECT_EQ(kind_of("destinationrules"), Kind::kDestinationRule);
  EXPECT_EQ(kind_of("svc"), Kind::kService);
  EXPECT_EQ(kind_of("EndpointSlice"), Kind::kEndpointSlice);
  EXPECT_EQ(kind_of(""), std::nullopt);
  EXPECT_EQ(kind_of("cronjobs"), std::nullopt);
  for (const KindTraits& kind : all_kinds()) EXPECT_EQ(kind_of(name_of(kind.kind)), kind.kind);
}

}  // namespace
}  // namespace weft::objects
