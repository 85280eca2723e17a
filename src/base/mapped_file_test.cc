// Files as bytes: what is read, and what is refused by name.

#include "src/base/mapped_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class MappedFileTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / fmt::format("lathe_map_{}", ::getpid());
    fs::create_directory(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / name, std::ios::binary) << text;
    return dir_ / name;
  }
  static std::string TextOf(const MappedFile& file) {
    return {reinterpret_cast<const char*>(file.bytes().data()),
            file.bytes().size()};
  }

  fs::path dir_;
};

TEST_F(MappedFileTest, HoldsTheBytesAndThePath) {
  const std::string path = Write("a", "some bytes");
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(TextOf(**file), "some bytes");
  EXPECT_EQ((*file)->path(), path);
}

TEST_F(MappedFileTest, AnEmptyFileHasNoBytes) {
  const auto file = MappedFile::Open(Write("empty", ""));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE((*file)->bytes().empty());
}

TEST_F(MappedFileTest, OutlivesTheFilesName) {
  const std::string path = Write("a", "still here");
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file);
  fs::remove(path);
  EXPECT_EQ(TextOf(**file), "still here");
}

TEST_F(MappedFileTest, RefusesWhatIsNoFileAndNamesIt) {
  ASSERT_EQ(::mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  const std::string missing = dir_ / "missing", below = Write("a", "x") + "/b";
  const struct {
    std::string path, why;
  } cases[] = {{missing, "no such file"},
               {below, "no such file"},
               {dir_ / std::string(300, 'n'), "no such file"},
               {"", "no such file"},
               {dir_, "a folder"},
               {dir_ / "pipe", "not a regular file"},
               {"/dev/null", "not a regular file"}};
  for (const auto& [path, why] : cases) {
    const auto file = MappedFile::Open(path);
    ASSERT_FALSE(file) << path;
    EXPECT_EQ(file.error().code, ErrorCode::kInvalidInput) << path;
    EXPECT_THAT(file.error().message, HasSubstr(path));
    EXPECT_THAT(file.error().message, HasSubstr(why));
  }
}

TEST_F(MappedFileTest, SaysWhenItIsNotAllowedToRead) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const std::string path = Write("locked", "x");
  fs::permissions(path, fs::perms::none);
  const auto file = MappedFile::Open(path);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kSystem);
  EXPECT_THAT(file.error().message, HasSubstr(path));
}

TEST_F(MappedFileTest, PagesGivenBackAreReadAgain) {
  std::string text(100000, ' ');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7);
  const auto file = MappedFile::Open(Write("large", text));
  ASSERT_TRUE(file);
  const auto bytes = (*file)->bytes();
  ASSERT_EQ(TextOf(**file), text);
  // Whole, from the middle of a page to the middle of another, none at all.
  for (const auto part :
       {bytes, bytes.subspan(5000, 60000), bytes.subspan(10, 20),
        bytes.subspan(0, 0), std::span<const std::byte>()}) {
    GiveBackPages(part);
    EXPECT_EQ(TextOf(**file), text);
  }
}

}  // namespace
}  // namespace lathe
