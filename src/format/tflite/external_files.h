// The files beside a model that hold some of its constants.

#ifndef LATHE_FORMAT_TFLITE_EXTERNAL_FILES_H_
#define LATHE_FORMAT_TFLITE_EXTERNAL_FILES_H_

#include <map>
#include <memory>
#include <string>

#include "src/base/mapped_file.h"

namespace lathe::format {

class ExternalFiles {
 public:
  // Those of the model at this path: names are relative to its folder.
  explicit ExternalFiles(const std::string& model);

  // Maps a file, once. Errors: kInvalidInput for a name that is empty, absolute
  // or leads out of the folder with "..", and what MappedFile says.
  Result<std::shared_ptr<const MappedFile>> Open(const std::string& name);

  // What has been opened, by name.
  const std::map<std::string, std::shared_ptr<const MappedFile>>& files()
      const {
    return files_;
  }

 private:
  std::string folder_;
  std::map<std::string, std::shared_ptr<const MappedFile>> files_;
};

}  // namespace lathe::format

#endif  // LATHE_FORMAT_TFLITE_EXTERNAL_FILES_H_
