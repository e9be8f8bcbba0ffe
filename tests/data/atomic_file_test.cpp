#include "monge/data/atomic_file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>

#include "support.h"

namespace monge::data {
namespace {

using test::expect_error;
using test::read_bytes;
using test::TemporaryFolder;
using test::write_bytes;

TEST(AtomicFile, ReplacesOnlyWhenCommitted) {
  const TemporaryFolder folder;
  const auto target = folder / "a.txt";
  write_text("test", target, "old");
  {
    AtomicFile file("test", target);
    write_bytes(file.temporary(), "new");
    EXPECT_EQ(read_bytes(target), "old");
  }
  EXPECT_EQ(read_bytes(target), "old");
  EXPECT_EQ(folder.files().size(), 1u);
  {
    AtomicFile file("test", target);
    write_bytes(file.temporary(), "new");
    file.commit();
  }
  EXPECT_EQ(read_bytes(target), "new");
  EXPECT_EQ(folder.files(), std::vector<std::string>{"a.txt"});
}

TEST(AtomicFile, KeepsPermissionsAndLinks) {
  const TemporaryFolder folder;
  write_text("test", folder / "a.txt", "old");
  chmod((folder / "a.txt").c_str(), 0640);
  std::filesystem::create_symlink("a.txt", folder / "link.txt");
  write_text("test", folder / "link.txt", "new");
  EXPECT_EQ(read_bytes(folder / "a.txt"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link.txt"));
  struct stat status = {};
  ASSERT_EQ(stat((folder / "a.txt").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST(AtomicFile, FollowsLinksToFilesThatAreNotThereYet) {
  const TemporaryFolder folder;
  std::filesystem::create_symlink("new.txt", folder / "second.txt");
  std::filesystem::create_symlink("second.txt", folder / "first.txt");
  write_text("test", folder / "first.txt", "new");
  EXPECT_EQ(read_bytes(folder / "new.txt"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "first.txt") && std::filesystem::is_symlink(folder / "second.txt"));
  EXPECT_EQ(written_file(folder / "first.txt"), std::filesystem::canonical(folder / "new.txt"));

  std::filesystem::create_symlink("loop.txt", folder / "loop.txt");
  expect_error(Errc::io, {"loop.txt", "leads nowhere"}, [&] { write_text("test", folder / "loop.txt", "x"); });
}

TEST(AtomicFile, SweepsWhatTheDeadLeftAndNothingElse) {
  const TemporaryFolder folder;
  const auto target = folder / "a.h5";
  const pid_t child = fork();
  if (child == 0) {
    AtomicFile file("test", target);
    raise(SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_EQ(folder.files().size(), 1u);  // the stale temporary
  for (const char* name : {".a.h5.tmp", ".a.h5.mine.tmp", ".a.h5.1-2-3.tmp", ".b.h5.1-0.tmp", ".a.h5.1-0.tmp.bak"})
    write_bytes(folder / name, "not ours");

  const AtomicFile alive("test", target);
  const AtomicFile other("test", target);  // must not sweep the one that is alive
  EXPECT_NE(alive.temporary(), other.temporary());
  EXPECT_TRUE(std::filesystem::exists(alive.temporary()));
  EXPECT_EQ(folder.files().size(), 7u);
}

TEST(AtomicFile, SaysWhyItCannotWrite) {
  const TemporaryFolder folder;
  write_bytes(folder / "file", "");
  const auto try_path = [](const std::filesystem::path& path) { return [path] { require_writable("save", path); }; };
  expect_error(Errc::io, {"save: cannot write", "nowhere", "does not exist"}, try_path(folder / "nowhere/a.h5"));
  expect_error(Errc::io, {"save: cannot write", "file/a.h5"}, try_path(folder / "file/a.h5"));
  expect_error(Errc::io, {"is a folder"}, try_path(folder.path()));
  expect_error(Errc::io, {"/proc/a.h5"}, try_path("/proc/a.h5"));
  expect_error(Errc::io, {"not a regular file"}, try_path("/dev/null"));
  expect_error(Errc::io, {"File name too long"}, try_path(folder / std::string(250, 'a')));
  chmod(folder.path().c_str(), 0500);
  if (const pid_t child = fork(); child == 0) {  // root may write anywhere: be somebody else
    if (geteuid() == 0 && (chmod(folder.path().c_str(), 0555) != 0 || setuid(65534) != 0)) _exit(2);
    expect_error(Errc::io, {"Permission denied"}, try_path(folder / "a.h5"));
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  } else {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  chmod(folder.path().c_str(), 0700);
  require_writable("save", folder / "a.h5");
  EXPECT_EQ(folder.files(), std::vector<std::string>{"file"});
}

TEST(AtomicFile, FullDisk) {
  const TemporaryFolder folder;
  write_text("test", folder / "a.txt", "old");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old = {};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small = {1000, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  expect_error(Errc::io, {"a.txt", "File too large"},
               [&] { write_text("test", folder / "a.txt", std::string(5000, 'x')); });
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_EQ(read_bytes(folder / "a.txt"), "old");
  EXPECT_EQ(folder.files().size(), 1u);
}

}  // namespace
}  // namespace monge::data
