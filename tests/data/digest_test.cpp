#include "monge/data/digest.h"

#include <gtest/gtest.h>

#include <string>

namespace monge::data {
namespace {

std::uint64_t hash(const std::string& s) { return xxh64(s.data(), s.size()); }

TEST(Digest, KnownAnswers) {
  EXPECT_EQ(hash(""), 0xef46db3751d8e999u);
  EXPECT_EQ(hash("a"), 0xd24ec4f1a98c6e5bu);
  EXPECT_EQ(hash("abc"), 0x44bc2cf5ad770999u);
  EXPECT_EQ(hash("Nobody inspects the spammish repetition"), 0xfbcea83c8a378bf1u);
  EXPECT_EQ(digest("abc", 3), "xxh64:44bc2cf5ad770999");
}

// Every tail length after whole 32-byte stripes, folded into one number by libxxhash 0.8.1.
TEST(Digest, AllLengths) {
  std::string s;
  std::uint64_t fold = 0;
  for (int n = 0; n < 200; ++n) {
    fold = fold * 31 + hash(s);
    s += static_cast<char>(n * 37 + 11);
  }
  EXPECT_EQ(fold, 0x6b7cc3a7f0ee4f40u);
}

}  // namespace
}  // namespace monge::data
