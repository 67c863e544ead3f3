// main() of the tests that need the real kernel and root: without them nothing is proven, so that is a
// failure.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>

#include "tests/support/netns_harness.h"

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  ::testing::InitGoogleTest(&argc, argv);
  if (!weft::test::is_root()) {
    std::fprintf(stderr, "these tests make network namespaces and load BPF programs: run them as root\n");
    return 1;
  }
  return RUN_ALL_TESTS();
}
