// minizip reads the directory; the data is found in the mapped file.

#include "src/format/torch_zip/zip_entries.h"

#include <minizip/unzip.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace lathe::format {
namespace {

constexpr size_t kMostEntries = 1'000'000;
constexpr size_t kMostName = 4096;
constexpr uint64_t kDeflateRatio = 1032;

struct Closer {
  void operator()(void* zip) const { unzClose(zip); }
};

uint64_t Number(std::span<const std::byte> bytes, uint64_t at, size_t size) {
  if (at > bytes.size() || size > bytes.size() - at) return 0;
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) {
    value |= static_cast<uint64_t>(bytes[at + i]) << (8 * i);
  }
  return value;
}

// minizip compares the two headers of an entry but for the name's letters.
// `directory` is where the entry's record in the central directory begins.
bool LocalNameIs(std::span<const std::byte> file, uint64_t directory,
                 std::string_view name, uint64_t data_begin) {
  if (Number(file, directory, 4) != 0x02014b50) return false;
  uint64_t local = Number(file, directory + 42, 4);
  if (local == 0xFFFFFFFF) {
    // In the zip64 extra field, behind those sizes that are also 0xFFFFFFFF.
    uint64_t at = directory + 46 + name.size();
    const uint64_t end = at + Number(file, directory + 30, 2);
    while (at + 4 <= end && Number(file, at, 2) != 1) {
      at += 4 + Number(file, at + 2, 2);
    }
    for (const uint64_t size : {20, 24}) {
      if (Number(file, directory + size, 4) == 0xFFFFFFFF) at += 8;
    }
    local = Number(file, at + 4, 8);
  }
  if (data_begin < 30 || local > data_begin - 30 ||
      Number(file, local, 4) != 0x04034b50 ||
      local + 30 + Number(file, local + 26, 2) + Number(file, local + 28, 2) !=
          data_begin ||
      Number(file, local + 26, 2) != name.size() ||
      name.size() > data_begin - local - 30) {
    return false;
  }
  return std::memcmp(file.data() + local + 30, name.data(), name.size()) == 0;
}

// minizip reads a directory whose last bytes are cut off as if they were 0.
bool EndsWithDirectory(std::span<const std::byte> file) {
  constexpr uint64_t kEnd = 22, kMostComment = 65535;
  const uint64_t last = file.size() < kEnd ? 0 : file.size() - kEnd + 1;
  const uint64_t first = last > kMostComment ? last - kMostComment - 1 : 0;
  for (uint64_t at = last; at-- > first;) {
    if (Number(file, at, 4) == 0x06054b50 &&
        at + kEnd + Number(file, at + 20, 2) == file.size()) {
      return true;
    }
  }
  return false;
}

}  // namespace

Result<std::map<std::string, ZipEntry>> ReadZipEntries(const MappedFile& file) {
  if (!EndsWithDirectory(file.bytes())) {
    return Invalid("{}: no zip directory at its end", file.path());
  }
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
      return Invalid("{}: zip entry \"{}\": its header is broken", file.path(),
                     key);
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
    unz64_file_pos position = {};
    if (unzGetFilePos64(zip.get(), &position) != UNZ_OK ||
        !LocalNameIs(file.bytes(), position.pos_in_zip_directory, key, begin)) {
      return Invalid("{}: zip entry \"{}\": its two headers do not agree",
                     file.path(), key);
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
      return Invalid("{}: more than {} zip entries", file.path(), kMostEntries);
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
