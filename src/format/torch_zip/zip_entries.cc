#include "src/format/torch_zip/zip_entries.h"

#include <minizip/unzip.h>
#include <zlib.h>

#include <algorithm>
#include <utility>

namespace lathe::format {
namespace {

constexpr size_t kMostEntries = 1'000'000;
constexpr size_t kMostName = 4096;
constexpr uint64_t kDeflateRatio = 1032;

struct Closer {
  void operator()(void* zip) const { unzClose(zip); }
};

}  // namespace

Result<std::map<std::string, ZipEntry>> ReadZipEntries(
    const MappedFile& file) {
  const std::unique_ptr<void, Closer> zip(unzOpen64(file.path().c_str()));
  if (!zip) return Invalid("{}: no zip directory", file.path());
  std::map<std::string, ZipEntry> entries;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  int more = unzGoToFirstFile(zip.get());
  for (; more == UNZ_OK; more = unzGoToNextFile(zip.get())) {
    unz_file_info64 info = {};
    std::vector<char> name(kMostName + 1);
    if (unzGetCurrentFileInfo64(zip.get(), &info, name.data(), kMostName,
                                nullptr, 0, nullptr, 0) != UNZ_OK ||
        info.size_filename > kMostName) {
      return Invalid("{}: zip entry {}: unreadable", file.path(),
                     entries.size());
    }
    const std::string key(name.data(), info.size_filename);
    if ((info.flag & 1) != 0) {
      return Invalid("{}: zip entry \"{}\" is encrypted", file.path(), key);
    }
    const bool deflated = info.compression_method == Z_DEFLATED;
    if (!deflated && info.compression_method != 0) {
      return Invalid("{}: zip entry \"{}\": compression {}, allowed 0 and 8",
                     file.path(), key, info.compression_method);
    }
    // Raw mode: checks the local header against the directory and tells where
    // the data begins.
    int method = 0, level = 0;
    if (unzOpenCurrentFile2(zip.get(), &method, &level, 1) != UNZ_OK) {
      return Invalid("{}: zip entry \"{}\": its header is broken",
                     file.path(), key);
    }
    const uint64_t begin = unzGetCurrentFileZStreamPos64(zip.get());
    unzCloseCurrentFile(zip.get());
    const uint64_t size = info.compressed_size;
    if (begin > file.bytes().size() || size > file.bytes().size() - begin ||
        (!deflated && size != info.uncompressed_size) ||
        (deflated && info.uncompressed_size / kDeflateRatio > size + 1)) {
      return Invalid(
          "{}: zip entry \"{}\": {} bytes at {} ({} inflated) in a file of {}",
          file.path(), key, size, begin, info.uncompressed_size,
          file.bytes().size());
    }
    ZipEntry entry;
    entry.stored = file.bytes().subspan(begin, size);
    entry.bytes = info.uncompressed_size;
    entry.deflated = deflated;
    if (!entries.emplace(key, entry).second) {
      return Invalid("{}: zip entry \"{}\" stands there twice", file.path(),
                     key);
    }
    if (size > 0) ranges.emplace_back(begin, begin + size);
    if (entries.size() > kMostEntries) {
      return Invalid("{}: more than {} zip entries", file.path(),
                     kMostEntries);
    }
  }
  if (more != UNZ_END_OF_LIST_OF_FILE) {
    return Invalid("{}: the zip directory is broken after entry {}",
                   file.path(), entries.size());
  }
  std::ranges::sort(ranges);
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second) {
      return Invalid("{}: zip entries overlap at byte {}", file.path(),
                     ranges[i].first);
    }
  }
  return entries;
}

Result<std::shared_ptr<const std::vector<std::byte>>> Inflate(
    const std::string& name, const ZipEntry& entry) {
  auto out = std::make_shared<std::vector<std::byte>>();
  if (!entry.deflated) {
    out->assign(entry.stored.begin(), entry.stored.end());
    return out;
  }
  out->resize(entry.bytes);
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
    return SystemError("zlib cannot start");
  }
  // zlib counts in 32 bits, so both sides are fed in pieces.
  constexpr uint64_t kPiece = uint64_t{1} << 30;
  uint64_t fed = 0, made = 0;
  int result = Z_OK;
  while (result == Z_OK) {
    const uint64_t in = std::min(kPiece, entry.stored.size() - fed);
    const uint64_t room = std::min(kPiece, entry.bytes - made);
    stream.next_in = reinterpret_cast<Bytef*>(
        const_cast<std::byte*>(entry.stored.data() + fed));
    stream.avail_in = static_cast<uInt>(in);
    std::byte none{};  // inflate wants a place even when all is made.
    stream.next_out =
        reinterpret_cast<Bytef*>(room ? out->data() + made : &none);
    stream.avail_out = static_cast<uInt>(room);
    result = inflate(&stream, Z_NO_FLUSH);
    const uint64_t used = in - stream.avail_in;
    const uint64_t got = room - stream.avail_out;
    fed += used;
    made += got;
    if (used == 0 && got == 0) break;
  }
  inflateEnd(&stream);
  if (result != Z_STREAM_END || made != entry.bytes) {
    return Invalid("zip entry \"{}\": {} bytes inflated, {} promised", name,
                   made, entry.bytes);
  }
  return out;
}

}  // namespace lathe::format
