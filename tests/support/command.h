#pragma once
// Runs programs and keeps what they said.
#include <sys/types.h>

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

// A program that runs beside the test. Killed, with its children, when the object goes or the test dies.
class Background {
 public:
  // Both outputs go to the file `log`.
  Background(const std::vector<std::string>& words, std::string log);
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  void signal(int number) const;
  [[nodiscard]] bool running();
  [[nodiscard]] std::string said() const;  // so far

 private:
  std::string log_;
  pid_t pid_;  // -1: ended
};

// Asks until `condition` holds or `limit` has passed; says which.
[[nodiscard]] bool eventually(const std::function<bool()>& condition,
                              std::chrono::milliseconds limit = std::chrono::seconds(15));

}  // namespace weft::test
