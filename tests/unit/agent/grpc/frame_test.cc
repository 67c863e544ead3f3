#include <gtest/gtest.h>

#include "agent/grpc/frame.h"

using namespace weft::grpc;

namespace {

TEST(Frame, is_read_back_from_pieces_of_any_size) {
  const std::string message(1000, 'm');
  const std::string bytes = frame(message);
  for (const size_t piece : {1u, 3u, 5u, 7u, 2000u}) {
    FrameReader reader(1000);
    for (size_t at = 0; at < bytes.size(); at += piece)
      ASSERT_TRUE(reader.append(std::string_view(bytes).substr(at, piece)));
    EXPECT_EQ(reader.finish().value(), message);
  }
}

TEST(Frame, of_nothing_is_five_zero_bytes) {
  EXPECT_EQ(frame(""), std::string(5, '\0'));
  FrameReader reader(10);
  ASSERT_TRUE(reader.append(frame("")));
  EXPECT_EQ(reader.finish().value(), "");
}

Code refusal(std::string_view bytes, size_t max = 10) {
  FrameReader reader(max);
  const auto taken = reader.append(bytes);
  if (!taken) return taken.error().code;
  const auto whole = reader.finish();
  return whole ? Code::kOk : whole.error().code;
}

TEST(Frame, compressed_is_refused) {
  std::string bytes = frame("abc");
  bytes[0] = 1;
  EXPECT_EQ(refusal(bytes), Code::kUnimplemented);
}

TEST(Frame, above_the_bound_is_refused_by_its_prefix_alone) {
  EXPECT_EQ(refusal(std::string_view("\0\0\0\0\x0b", 5)), Code::kResourceExhausted);
  EXPECT_EQ(refusal(std::string_view("\0\xff\xff\xff\xff", 5)), Code::kResourceExhausted);
  EXPECT_EQ(refusal(frame("0123456789")), Code::kOk);
}

TEST(Frame, a_second_message_or_half_a_message_is_refused) {
  EXPECT_EQ(refusal(frame("abc") + frame("")), Code::kInternal);
  EXPECT_EQ(refusal(frame("abc").substr(0, 7)), Code::kInternal);
  EXPECT_EQ(refusal(""), Code::kInternal);
}

TEST(Status, text_of_the_caller_survives_percent_encoding) {
  const std::string text = "100% \n\xc3\xa4~";
  EXPECT_EQ(percent_encode(text), "100%25 %0A%C3%A4~");
  EXPECT_EQ(percent_decode(percent_encode(text)), text);
  EXPECT_EQ(percent_decode("%zz%4"), "%zz%4");
  EXPECT_EQ(percent_decode("%41%"), "A%");
}

TEST(Status, unknown_codes_are_unknown) {
  EXPECT_EQ(parse_code("16"), Code::kUnauthenticated);
  for (const char* text : {"17", "", "-1", "1x", "99999999999999999999"}) EXPECT_EQ(parse_code(text), Code::kUnknown);
}

}  // namespace
