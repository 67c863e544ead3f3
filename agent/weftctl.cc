// weft's command line.
#include "agent/ctl/commands.h"

int main(int argc, char** argv) {
  return weft::ctl::run_weftctl(argc, argv);
}
