// A folder of results that gets all of its files or none.

#ifndef LATHE_CLI_OUTPUT_FOLDER_H_
#define LATHE_CLI_OUTPUT_FOLDER_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"
#include "lathe/lathe.hpp"

namespace lathe::cli {

// Files are written into a hidden folder inside and renamed at the end; what
// is not committed is removed. Without a path it takes files and keeps none.
class OutputFolder {
 public:
  // Looks at the place without touching it. Errors: kInvalidInput for a file
  // and for a folder whose parent is missing; kSystem where it may not be
  // written.
  static Result<OutputFolder> Check(const std::string& path);
  OutputFolder(OutputFolder&& other) noexcept;
  OutputFolder& operator=(OutputFolder&&) = delete;
  ~OutputFolder();

  // Errors: kSystem.
  Status Add(const std::string& name, std::span<const std::byte> bytes);
  Status Commit();

  bool wanted() const { return !path_.empty(); }

 private:
  explicit OutputFolder(std::string path) : path_(std::move(path)) {}
  Status MakeStaging();

  std::string path_, staging_;
  bool made_ = false;  // The folder itself is ours.
  std::vector<std::string> names_;
};

// Writes the session's outputs as out<index><suffix>.npy, or .json for strings
// (a flat array). Errors: kUnsupported for values that have no such form.
Status AddOutputs(const Session& session, std::string_view suffix,
                  OutputFolder& folder);

// The list in outputs.json: {index name tensor type shape quantization}.
Json DescribeOutputs(const Session& session);

}  // namespace lathe::cli

#endif  // LATHE_CLI_OUTPUT_FOLDER_H_
