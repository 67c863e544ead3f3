#pragma once
// The command line.
namespace weft::ctl {

// Exit codes: 0 done, 1 an error (one line on stderr that ends with what to do), 2 a wrong command line.
int run_weftctl(int argc, char** argv);

}  // namespace weft::ctl
