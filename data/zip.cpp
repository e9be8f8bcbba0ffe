#include "monge/data/zip.h"

#include <algorithm>
#include <utility>

#include "monge/ot/core/error.h"

namespace monge::data {
namespace {

constexpr std::uint64_t most_members = 10000;
constexpr std::uint64_t most_directory = 1 << 24;  // bytes
constexpr std::uint64_t narrow = 0xFFFFFFFF;       // a field of 32 bits that says: see ZIP64

// Numbers are little-endian.
std::uint64_t number(const unsigned char* p, int bytes) {
  std::uint64_t value = 0;
  for (int i = bytes; i-- > 0;) value = value << 8 | p[i];
  return value;
}

bool has_signature(const unsigned char* p, unsigned char a, unsigned char b) {
  return p[0] == 'P' && p[1] == 'K' && p[2] == a && p[3] == b;
}

}  // namespace

ZipFile::ZipFile(std::string caller, const std::filesystem::path& path, const ReadLimits& limits)
    : file_(std::move(caller), path), limits_(limits) {
  constexpr std::uint64_t end_size = 22, longest_comment = 65535, locator_size = 20;
  const std::uint64_t tail = std::min(file_.size(), end_size + longest_comment + locator_size);
  std::vector<unsigned char> bytes(tail);
  file_.read_at(file_.size() - tail, bytes.data(), tail);
  std::int64_t end = static_cast<std::int64_t>(tail) - static_cast<std::int64_t>(end_size);
  while (end >= 0 && !(has_signature(bytes.data() + end, 5, 6) &&
                       number(bytes.data() + end + 20, 2) == tail - static_cast<std::uint64_t>(end) - end_size))
    --end;
  if (end < 0) file_.fail(Errc::bad_file, "not a ZIP archive, or cut short: its directory has no end");
  const unsigned char* p = bytes.data() + end;
  std::uint64_t count = number(p + 10, 2), size = number(p + 12, 4), first = number(p + 16, 4);
  if (number(p + 4, 2) != 0 && number(p + 4, 2) != 0xFFFF) file_.fail(Errc::bad_file, "a ZIP archive of several parts");
  if (end >= static_cast<std::int64_t>(locator_size) && has_signature(p - locator_size, 6, 7)) {
    unsigned char wide[56] = {};
    file_.read_at(number(p - locator_size + 8, 8), wide, sizeof wide);
    if (!has_signature(wide, 6, 6)) file_.fail(Errc::bad_file, "its ZIP64 directory has no end");
    count = number(wide + 32, 8);
    size = number(wide + 40, 8);
    first = number(wide + 48, 8);
  }
  read_directory(first, size, count);
}

void ZipFile::read_directory(std::uint64_t first, std::uint64_t size, std::uint64_t count) {
  constexpr std::size_t fixed = 46;
  if (count > most_members || size > most_directory || first > file_.size() || size > file_.size() - first)
    file_.fail(Errc::bad_file, concat("declares ", count, " members in a directory of ", size, " bytes at ", first));
  std::vector<unsigned char> bytes(size);
  file_.read_at(first, bytes.data(), size);
  std::size_t at = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const unsigned char* p = bytes.data() + at;
    if (bytes.size() - at < fixed || !has_signature(p, 1, 2)) file_.fail(Errc::bad_file, "its directory is damaged");
    const std::size_t name = number(p + 28, 2), extra = number(p + 30, 2), comment = number(p + 32, 2);
    if (bytes.size() - at - fixed < name + extra + comment) file_.fail(Errc::bad_file, "its directory is cut short");
    Member m{.name = {reinterpret_cast<const char*>(p) + fixed, name},
             .stored = number(p + 20, 4),
             .size = number(p + 24, 4),
             .header = number(p + 42, 4),
             .checksum = static_cast<std::uint32_t>(number(p + 16, 4)),
             .method = static_cast<int>(number(p + 10, 2))};
    if (number(p + 8, 2) & 1) file_.fail(Errc::bad_file, "member " + m.name + " is encrypted");
    // ZIP64's extra field holds, in this order, those of the numbers that had no room above.
    for (std::size_t e = fixed + name; e + 4 <= fixed + name + extra;) {
      const std::size_t length = number(p + e + 2, 2);
      std::size_t field = e + 4;
      const std::size_t field_end = std::min(field + length, fixed + name + extra);
      if (number(p + e, 2) == 1)
        for (std::uint64_t* value : {&m.size, &m.stored, &m.header})
          if (*value == narrow && field + 8 <= field_end) *value = number(p + std::exchange(field, field + 8), 8);
      e += 4 + length;
    }
    check(m);
    members_.push_back(std::move(m));
    at += fixed + name + extra + comment;
  }
}

void ZipFile::check(const Member& m) const {
  const auto bad = [&](const auto&... what) { file_.fail(Errc::bad_file, concat("member ", m.name, " ", what...)); };
  if (m.method != 0 && m.method != 8) bad("is compressed by method ", m.method, ", only 0 and 8 are read");
  if (m.header > file_.size() || m.stored > file_.size() - m.header) bad("does not lie within the file");
  if (m.method == 0 && m.size != m.stored) bad("is stored in ", m.stored, " bytes but declares ", m.size);
  if (m.size > limits_.memory) bad("declares ", m.size, " bytes, over the limit of ", limits_.memory);
  if (m.size / limits_.expansion > m.stored)
    bad("declares ", m.size, " bytes, more than ", limits_.expansion, " times the ", m.stored, " stored");
}

const ZipFile::Member* ZipFile::find(const std::string& name) const {
  for (const Member& member : members_)
    if (member.name == name) return &member;
  return nullptr;
}

ZipStream::ZipStream(const ZipFile& zip, const ZipFile::Member& member)
    : zip_(zip), member_(member), stored_left_(member.stored), left_(member.size), buffer_(1 << 17) {
  unsigned char local[30] = {};
  zip_.file().read_at(member.header, local, sizeof local);
  if (!has_signature(local, 3, 4)) fail("has no header");
  at_ = member.header + sizeof local + number(local + 26, 2) + number(local + 28, 2);
  if (member.method == 8 && inflateInit2(&stream_, -15) != Z_OK)
    zip_.file().fail(Errc::out_of_memory, "no memory to inflate it");
}

void ZipStream::fail(const std::string& what) const {
  zip_.file().fail(Errc::bad_file, "member " + member_.name + " " + what);
}

void ZipStream::refill() {
  const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), stored_left_));
  if (part == 0) fail("is cut short");
  zip_.file().read_at(at_, buffer_.data(), part);
  at_ += part;
  stored_left_ -= part;
  stream_.next_in = buffer_.data();
  stream_.avail_in = static_cast<unsigned>(part);
}

std::size_t ZipStream::read(void* out, std::size_t size) {
  auto* const bytes = static_cast<unsigned char*>(out);
  const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(size, left_));
  std::size_t done = 0;
  while (done < wanted) {
    if (stream_.avail_in == 0) refill();
    const auto room = static_cast<unsigned>(std::min<std::size_t>(wanted - done, 1u << 30));
    if (member_.method == 0) {
      const unsigned n = std::min(room, stream_.avail_in);
      std::copy_n(stream_.next_in, n, bytes + done);
      stream_.next_in += n;
      stream_.avail_in -= n;
      done += n;
      continue;
    }
    stream_.next_out = bytes + done;
    stream_.avail_out = room;
    const int result = inflate(&stream_, Z_NO_FLUSH);
    done += room - stream_.avail_out;
    if (result != Z_OK && result != Z_STREAM_END) fail("is damaged");
    if (result == Z_STREAM_END && done < wanted)
      fail(concat("holds fewer bytes than the ", member_.size, " it declares"));
  }
  for (std::size_t at = 0; at < done; at += 1u << 30)
    checksum_ = static_cast<std::uint32_t>(
        crc32(checksum_, bytes + at, static_cast<unsigned>(std::min<std::size_t>(done - at, 1u << 30))));
  left_ -= done;
  if (left_ == 0 && done > 0 && checksum_ != member_.checksum) fail("does not match its checksum");
  return done;
}

}  // namespace monge::data
