#pragma once
// Manifests as text in a test -> objects and findings.
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/objects/objects.h"
#include "agent/parse/yaml.h"

namespace weft::test {

// All documents of `yaml` as if they stood in a file named "test.yaml"; findings of the reader come as a
// result too.
inline std::vector<objects::Decoded> decode_yaml(std::string_view yaml) {
  parse::YamlResult read = parse::read_yaml(yaml, "test.yaml");
  std::vector<objects::Decoded> out;
  if (!read.findings.empty()) out.push_back({nullptr, std::nullopt, read.findings});
  for (const objects::Document& document : read.documents)
    for (objects::Decoded& decoded : objects::decode(document)) out.push_back(std::move(decoded));
  return out;
}

// The first document as a tree without judgement; JSON is read too.
inline objects::Node root_of(std::string_view yaml) {
  auto read = parse::read_yaml(yaml, "test.yaml");
  EXPECT_EQ(read.documents.size(), 1u);
  return read.documents.empty() ? objects::Node() : std::move(read.documents[0].root);
}

inline std::vector<objects::Finding> findings_of(std::string_view yaml) {
  std::vector<objects::Finding> out;
  for (const objects::Decoded& decoded : decode_yaml(yaml))
    out.insert(out.end(), decoded.findings.begin(), decoded.findings.end());
  return out;
}

// "3:5 UnknownField spec.prots": what a table of findings compares.
inline std::string brief(const objects::Finding& finding) {
  return std::to_string(finding.line) + ":" + std::to_string(finding.column) + " " + finding.code +
         (finding.path.empty() ? "" : " " + finding.path);
}

// A manifest and the one finding it deserves.
struct FindingRow {
  const char* name;
  const char* yaml;
  const char* place;    // brief() of it
  const char* message;  // a part of its message
};

inline void expect_findings(std::span<const FindingRow> rows, objects::Severity severity) {
  for (const FindingRow& row : rows) {
    const auto findings = findings_of(row.yaml);
    ASSERT_EQ(findings.size(), 1u) << row.name << (findings.empty() ? "" : ": " + to_string(findings[1]));
    const std::string whole = std::string(row.name) + ": " + to_string(findings[0]);
    EXPECT_EQ(brief(findings[0]), row.place) << whole;
    EXPECT_NE(findings[0].message.find(row.message), std::string::npos) << whole;
    EXPECT_EQ(findings[0].severity, severity) << whole;
    EXPECT_EQ(findings[0].file, "test.yaml") << whole;
  }
}

}  // namespace weft::test
