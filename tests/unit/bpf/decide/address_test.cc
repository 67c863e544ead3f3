#include "bpf/decide/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "tests/unit/bpf/decide/decide_support.h"

namespace weft::test {
namespace {

TEST(DecideAddress, EachContextsPortComesOutInHostOrder) {
  EXPECT_EQ(weft_port_of_user(htons(8080)), 8080);
  EXPECT_EQ(weft_user_of_port(8080), htons(8080));
  EXPECT_EQ(weft_port_of_sockops(htonl(8080)), 8080) << "the upper half, in network order";
  EXPECT_EQ(weft_port_of_lookup(htons(8080)), 8080);
}

TEST(DecideAddress, AKernelsIpv4AddressBecomesV4Mapped) {
  weft_address out{};
  weft_set_v4(&out, htonl(0x0a000005));
  const weft_address expected = at("10.0.0.5");
  EXPECT_TRUE(weft_same_address(&out, &expected));
  EXPECT_EQ(weft_word(&out, 3), htonl(0x0a000005));
}

TEST(DecideAddress, WordsGoInAndOutInOrder) {
  weft_address out{};
  weft_set_words(&out, 1, 2, 3, 4);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(weft_word(&out, i), static_cast<uint32_t>(i + 1));
}

TEST(DecideAddress, OneBitAnywhereMakesAnotherAddress) {
  const weft_address one = at("fd00:1:2:3:4:5:6:7");
  EXPECT_TRUE(weft_same_address(&one, &one));
  for (int byte = 0; byte < 16; ++byte) {
    weft_address other = one;
    other.bytes[byte] ^= 1;
    EXPECT_FALSE(weft_same_address(&one, &other)) << byte;
  }
}

TEST(DecideAddress, TheFamilyIsReadFromTheMapping) {
  for (const char* v4 : {"10.0.0.5", "0.0.0.0", "255.255.255.255"}) {
    const weft_address address = at(v4);
    EXPECT_TRUE(weft_is_v4(&address)) << v4;
  }
  for (const char* v6 :
       {"::", "::1", "fd00::5", "0:0:0:1::ffff:0:0", "1::ffff:a00:5", "0:0:1::ffff:a00:5", "::fffe:a00:5"}) {
    const weft_address address = at(v6);
    EXPECT_FALSE(weft_is_v4(&address)) << v6;
  }
}

TEST(DecideAddress, LoopbackIsWhatConnectTakesForIt) {
  for (const char* yes : {"127.0.0.1", "127.255.0.9", "0.0.0.0", "::1", "::"}) {
    const weft_address address = at(yes);
    EXPECT_TRUE(weft_is_loopback(&address)) << yes;
  }
  for (const char* no : {"128.0.0.1", "126.0.0.1", "10.0.0.127", "0.0.0.1", "::2", "1::1", "0:0:1::1",
                         "0:0:0:0:1::1", "fd00::1"}) {
    const weft_address address = at(no);
    EXPECT_FALSE(weft_is_loopback(&address)) << no;
  }
}

TEST(DecideAddress, LinkLocalIsFe80Slash10) {
  for (const char* yes : {"fe80::1", "febf::1"}) {
    const weft_address address = at(yes);
    EXPECT_TRUE(weft_is_link_local6(&address)) << yes;
  }
  for (const char* no : {"fec0::1", "fd80::1", "ff80::1", "169.254.0.1"}) {
    const weft_address address = at(no);
    EXPECT_FALSE(weft_is_link_local6(&address)) << no;
  }
}

TEST(DecideAddress, APodOwnsItsTwoAddresses) {
  const weft_pod pod = pod_with(0);
  for (const char* own : {"10.0.0.5", "fd00::5"}) {
    const weft_address address = at(own);
    EXPECT_TRUE(weft_is_own(&pod, &address)) << own;
  }
  const weft_address other = at("10.0.0.6");
  EXPECT_FALSE(weft_is_own(&pod, &other));
}

}  // namespace
}  // namespace weft::test
