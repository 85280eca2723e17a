// Bytes of small checkpoint files, right ones and wrong ones, for tests and for
// seeds of the fuzz targets.

#ifndef LATHE_FORMAT_CHECKPOINT_BYTES_H_
#define LATHE_FORMAT_CHECKPOINT_BYTES_H_

#include <zlib.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lathe::format {

// `value`, little-endian, in `size` bytes.
inline std::string LittleEndian(uint64_t value, size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    text += static_cast<char>(value >> (8 * i) & 0xFF);
  }
  return text;
}

inline std::string FloatBytes(std::initializer_list<float> values) {
  return std::string(reinterpret_cast<const char*>(values.begin()),
                     values.size() * sizeof(float));
}

inline std::string Safetensors(std::string_view header, std::string_view data) {
  return LittleEndian(header.size(), 8) + std::string(header) +
         std::string(data);
}

// A zip as torch writes it, but for alignment.
class ZipWriter {
 public:
  ZipWriter& Add(const std::string& name, const std::string& data,
                 bool deflate = false) {
    return Add(name, name, data, deflate ? Deflated(data) : data, data.size(),
               deflate);
  }
  // As it is told, right or wrong.
  ZipWriter& Add(const std::string& local_name, const std::string& name,
                 const std::string& data, const std::string& packed,
                 uint64_t promised, bool deflate) {
    const auto crc = ::crc32(0, reinterpret_cast<const Bytef*>(data.data()),
                             static_cast<uInt>(data.size()));
    const std::string common =
        LittleEndian(20, 2) + LittleEndian(0x0800, 2) +
        LittleEndian(deflate ? 8 : 0, 2) + LittleEndian(0, 4) +
        LittleEndian(crc, 4) + LittleEndian(packed.size(), 4) +
        LittleEndian(promised, 4) + LittleEndian(name.size(), 2) +
        LittleEndian(0, 2);
    directory_ += "PK\x01\x02" + LittleEndian(20, 2) + common +
                  LittleEndian(0, 8) + LittleEndian(0, 2) +
                  LittleEndian(files_.size(), 4) + name;
    files_ += "PK\x03\x04" + common + local_name + packed;
    ++count_;
    return *this;
  }
  std::string Bytes() const {
    return files_ + directory_ + "PK\x05\x06" + LittleEndian(0, 4) +
           LittleEndian(count_, 2) + LittleEndian(count_, 2) +
           LittleEndian(directory_.size(), 4) + LittleEndian(files_.size(), 4) +
           LittleEndian(0, 2);
  }

  static std::string Deflated(const std::string& data) {
    z_stream stream = {};
    deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    std::string out(data.size() + 1000, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    stream.avail_in = static_cast<uInt>(data.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
  }

 private:
  std::string files_, directory_;
  size_t count_ = 0;
};

// Pieces of a pickle; `Pickled` makes them one.
namespace pkl {

inline std::string Text(std::string_view text) {
  return "X" + LittleEndian(text.size(), 4) + std::string(text);
}
inline std::string Int(int64_t value) {
  return "\x8a\x08" + LittleEndian(static_cast<uint64_t>(value), 8);
}
inline std::string Tuple(const std::vector<std::string>& items) {
  std::string text = "(";
  for (const std::string& item : items) text += item;
  return text + "t";
}
inline std::string Ints(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (const int64_t value : values) items.push_back(Int(value));
  return Tuple(items);
}
inline std::string Global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
inline std::string Call(const std::string& callable,
                        const std::vector<std::string>& args) {
  return callable + Tuple(args) + "R";
}
inline std::string Dict(
    const std::vector<std::pair<std::string, std::string>>& items) {
  std::string text = "}(";
  for (const auto& [key, value] : items) text += Text(key) + value;
  return text + "u";
}
inline std::string Tensor(std::string_view storage, std::string_view key,
                          int64_t storage_elements, int64_t offset,
                          const std::vector<int64_t>& shape,
                          const std::vector<int64_t>& strides) {
  return Call(Global("torch._utils", "_rebuild_tensor_v2"),
              {Tuple({Text("storage"), Global("torch", storage), Text(key),
                      Text("cpu"), Int(storage_elements)}) +
                   "Q",
               Int(offset), Ints(shape), Ints(strides), "\x89",
               Call(Global("collections", "OrderedDict"), {})});
}
inline std::string Pickled(const std::string& value) {
  return "\x80\x02" + value + ".";
}

}  // namespace pkl

// A file of one pickle and the storage "0".
inline std::string TorchZip(const std::string& value,
                            const std::string& storage, bool deflate = false) {
  return ZipWriter()
      .Add("a/data.pkl", pkl::Pickled(value), deflate)
      .Add("a/byteorder", "little")
      .Add("a/data/0", storage, deflate)
      .Bytes();
}

}  // namespace lathe::format

#endif  // LATHE_FORMAT_CHECKPOINT_BYTES_H_
