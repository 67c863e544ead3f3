#pragma once
#include <gtest/gtest.h>

#include "tests/support/http_rig.h"

namespace weft::http {

struct Rig : testing::Test, test::HttpRig {};

inline bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace weft::http
