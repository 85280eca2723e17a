// The entries of a zip file as ranges of its bytes.

#ifndef LATHE_FORMAT_TORCH_ZIP_ZIP_ENTRIES_H_
#define LATHE_FORMAT_TORCH_ZIP_ZIP_ENTRIES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/base/mapped_file.h"
#include "src/base/result.h"

namespace lathe::format {

struct ZipEntry {
  std::span<const std::byte> stored;  // As it lies in the file.
  uint64_t bytes = 0;                 // Inflated.
  bool deflated = false;
};

// By name. Errors for encrypted entries, other compressions, duplicate names,
// ranges that overlap or leave the file, more than 1,000,000 entries, and
// entries that claim to inflate more than 1,032 times (deflate's limit).
Result<std::map<std::string, ZipEntry>> ReadZipEntries(const MappedFile& file);

// The entry's contents; a heap copy when deflated. Errors when the data is not
// what the directory says.
Result<std::shared_ptr<const std::vector<std::byte>>> Inflate(
    const std::string& name, const ZipEntry& entry);

}  // namespace lathe::format

#endif  // LATHE_FORMAT_TORCH_ZIP_ZIP_ENTRIES_H_
