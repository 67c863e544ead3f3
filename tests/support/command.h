#pragma once
// Runs a program and keeps what it said.
#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace weft::test {

struct Answer {
  int exit_code = -1;
  std::string out;   // standard output
  std::string err;   // standard error
  [[nodiscard]] bool ok() const { return exit_code == 0; }
};

// Ends the program by SIGKILL, and says so in `err`, when `limit` has passed.
[[nodiscard]] Answer run(const std::vector<std::string>& words, std::chrono::seconds limit = std::chrono::seconds(60));

// Asks until `condition` holds or `limit` has passed; says which.
[[nodiscard]] bool eventually(const std::function<bool()>& condition,
                              std::chrono::milliseconds limit = std::chrono::seconds(15));

}  // namespace weft::test
