#include "bpf/decide/attest.h"

#include <gtest/gtest.h>

#include "tests/unit/bpf/decide/decide_support.h"

namespace weft::test {
namespace {

weft_tuple tuple_of(const char* source, const char* destination) {
  weft_tuple tuple{};
  tuple.source = at(source);
  tuple.destination = at(destination);
  return tuple;
}

TEST(DecideAttest, OnlyTheAddressesThatTheAgentGaveProveAPod) {
  struct Row {
    const char* name;
    const char* source;
    const char* destination;
    bool marked;
    uint32_t note;
  };
  const Row rows[] = {
      {"own name", "10.0.0.5", "10.0.0.9", false, WEFT_NOTE_ATTESTED},
      {"own name, v6", "fd00::5", "fd00::9", false, WEFT_NOTE_ATTESTED},
      {"to the proxy", "10.0.0.5", "10.0.0.9", true, WEFT_NOTE_ATTESTED},
      {"to itself", "10.0.0.5", "10.0.0.5", false, WEFT_NOTE_ATTESTED},
      {"loopback", "127.0.0.1", "127.0.0.1", false, WEFT_NOTE_NOTHING},
      {"the proxy, in a client's name", "10.0.0.9", "10.0.0.5", true, WEFT_NOTE_DELIVERED},
      {"the same without a mark", "10.0.0.9", "10.0.0.5", false, WEFT_NOTE_DELIVERED},
      {"between further addresses", "10.9.0.5", "10.9.0.6", false, WEFT_NOTE_DELIVERED},
      {"from a further address to the proxy", "10.9.0.5", "10.0.0.9", true, WEFT_NOTE_NOTHING},
  };
  const weft_pod pod = pod_with(WEFT_POD_ENROLLED);
  const weft_pod unarmed = pod_with(WEFT_POD_MARKING);
  for (const Row& row : rows) {
    const weft_tuple tuple = tuple_of(row.source, row.destination);
    EXPECT_EQ(weft_attest(&pod, &tuple, row.marked), row.note) << row.name;
    EXPECT_EQ(weft_attest(&unarmed, &tuple, row.marked), WEFT_NOTE_NOTHING) << row.name;
    EXPECT_EQ(weft_attest(nullptr, &tuple, row.marked), WEFT_NOTE_NOTHING) << row.name;
  }
}

TEST(DecideAttest, ARecordCarriesThePodAndWhetherItLoops) {
  const weft_pod pod = pod_with(WEFT_POD_ENROLLED);
  const weft_attested record = weft_attested_of(&pod, 99, false);
  EXPECT_EQ(record.netns_cookie, 99U);
  EXPECT_EQ(record.identity, 50U);
  EXPECT_EQ(record.namespace_id, 500U);
  EXPECT_EQ(record.pod_id, 5U);
  EXPECT_EQ(record.generation, 3U);
  EXPECT_EQ(record.flags, 0U);
  EXPECT_EQ(weft_attested_of(&pod, 99, true).flags, static_cast<uint32_t>(WEFT_ATTESTED_LOOPED));
}

TEST(DecideAttest, ARecordIsBelievedWhileItsPodIsTheSame) {
  weft_pod pod = pod_with(WEFT_POD_ENROLLED);
  const weft_attested record = weft_attested_of(&pod, 99, false);
  EXPECT_TRUE(weft_record_believed(&record, &pod));
  EXPECT_FALSE(weft_record_believed(&record, nullptr));
  pod.generation = 4;
  EXPECT_FALSE(weft_record_believed(&record, &pod));
  pod.generation = 3;
  pod.pod_id = 6;
  EXPECT_FALSE(weft_record_believed(&record, &pod));
  pod.pod_id = 5;
  pod.flags = 0;
  EXPECT_FALSE(weft_record_believed(&record, &pod));
}

TEST(DecideAttest, AProbeIsProofOfTheKubeletAndOfNobodyElse) {
  const weft_pod pod = pod_with(WEFT_POD_ENROLLED);
  const weft_attested probe = weft_attested_probe(7), of_pod = weft_attested_of(&pod, 99, false);
  EXPECT_EQ(probe.netns_cookie, 7U);
  EXPECT_EQ(probe.identity, 0U);
  EXPECT_EQ(weft_proof_of(&probe, nullptr), WEFT_PROOF_PROBE);
  EXPECT_EQ(weft_proof_of(&of_pod, &pod), WEFT_PROOF_POD);
  EXPECT_EQ(weft_proof_of(&of_pod, nullptr), WEFT_PROOF_NONE);
  EXPECT_EQ(weft_proof_of(nullptr, &pod), WEFT_PROOF_NONE);
  EXPECT_EQ(of_pod.flags & WEFT_ATTESTED_PROBE, 0U);
}

TEST(DecideAttest, ALoopedConnectionIsNoneThatArrivesElsewhere) {
  const weft_pod pod = pod_with(WEFT_POD_ENROLLED);
  const weft_attested plain = weft_attested_of(&pod, 99, false), looped = weft_attested_of(&pod, 99, true);
  EXPECT_TRUE(weft_record_speaks(&plain, 99));
  EXPECT_TRUE(weft_record_speaks(&plain, 100));
  EXPECT_TRUE(weft_record_speaks(&looped, 99));
  EXPECT_FALSE(weft_record_speaks(&looped, 100));
}

}  // namespace
}  // namespace weft::test
