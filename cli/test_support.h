// What the tests of the command line share: a folder, the program, files.

#ifndef LATHE_CLI_TEST_SUPPORT_H_
#define LATHE_CLI_TEST_SUPPORT_H_

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace lathe::cli {

using Json = nlohmann::ordered_json;

struct Ran {
  int code = -1;
  std::string out, err;
};

inline std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class Cli : public testing::Test {
 protected:
  void SetUp() override {
    const char* program = std::getenv("LATHE");
    if (program == nullptr) GTEST_SKIP() << "LATHE names no program";
    program_ = program;
    char folder[] = "/tmp/lathe-cli-XXXXXX";
    ASSERT_NE(::mkdtemp(folder), nullptr);
    folder_ = folder;
  }
  void TearDown() override {
    if (folder_.empty()) return;
    std::system(("rm -rf '" + folder_ + "'").c_str());
  }

  // Runs in an empty folder of this test, with a shell's quoting.
  Ran Lathe(const std::string& arguments) {
    const std::string command = "cd '" + folder_ + "' && '" + program_ + "' " +
                                arguments + " >.out 2>.err </dev/null";
    const int status = std::system(command.c_str());
    Ran ran;
    ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    ran.out = ReadAll(folder_ + "/.out");
    ran.err = ReadAll(folder_ + "/.err");
    return ran;
  }
  // Files that a run left behind.
  std::string Left() {
    std::system(("cd '" + folder_ + "' && rm -f .out .err && ls -A >/tmp/.l" +
                 std::to_string(::getpid()))
                    .c_str());
    const std::string list = "/tmp/.l" + std::to_string(::getpid());
    const std::string names = ReadAll(list);
    ::unlink(list.c_str());
    return names;
  }

  void Write(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << bytes;
  }
  std::string Read(const std::string& name) {
    return ReadAll(folder_ + "/" + name);
  }
  // A model of cli/testdata, and one of the nano models.
  std::string Model(const std::string& name) {
    return "'" + Folder() + "/cli/" + name + ".tflite' ";
  }
  std::string Nano(const std::string& name) {
    return "'" + Folder() + "/models/nano/" + name + ".tflite' ";
  }
  // The project's folder, in which the tests are run.
  std::string Source() { return std::filesystem::current_path().string(); }
  std::string Folder() { return program_.substr(0, program_.rfind('/')); }

  std::string program_, folder_;
};

// The bytes of a .npy file of version 1.
template <typename T>
std::string Npy(const std::string& descr, const std::string& shape,
                const std::vector<T>& values, bool fortran = false) {
  std::string header = "{'descr': '" + descr +
                       "', 'fortran_order': " + (fortran ? "True" : "False") +
                       ", 'shape': " + shape + ", }\n";
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 0xFF);
  file += static_cast<char>(header.size() >> 8);
  file += header;
  file.append(reinterpret_cast<const char*>(values.data()),
              values.size() * sizeof(T));
  return file;
}

// The values in the bytes of a .npy file.
template <typename T>
std::vector<T> Values(const std::string& npy) {
  if (npy.size() < 10) return {};
  const size_t offset = 10 + static_cast<unsigned char>(npy[8]) +
                        256u * static_cast<unsigned char>(npy[9]);
  std::vector<T> values((npy.size() - offset) / sizeof(T));
  std::memcpy(values.data(), npy.data() + offset, values.size() * sizeof(T));
  return values;
}

}  // namespace lathe::cli

#endif  // LATHE_CLI_TEST_SUPPORT_H_
