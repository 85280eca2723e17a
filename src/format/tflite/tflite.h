// .tflite files: bytes to graph and back.
//
// Comes before: passes/ and plan/ (read), after: import/ and quant/ (write).

#ifndef LATHE_FORMAT_TFLITE_TFLITE_H_
#define LATHE_FORMAT_TFLITE_TFLITE_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/base/stop_token.h"
#include "src/format/tflite/external_files.h"
#include "src/graph/graph.h"

namespace lathe::format {

// Reads and verifies a model. Constants point into `bytes`, which `owner` keeps
// alive; nothing large is copied and no weight page is touched. Structure is
// copied out once, so a file that changes later cannot change the graph.
// `origin` names the file in errors. Constants of files beside the model are
// mapped and look like its own; without `external` there are none. Errors:
// kInvalidInput listing every problem; kUnsupported for versions and storage
// that the format allows and this build does not have.
Result<graph::Graph> ReadTflite(std::span<const std::byte> bytes,
                                std::shared_ptr<const void> owner,
                                const std::string& origin,
                                ExternalFiles* external = nullptr);

// Maps the file and reads it.
Result<graph::Graph> OpenTflite(const std::string& path);

// Writes a verified graph. The file appears complete under its name or not at
// all. Producers run one at a time, each into memory that is freed before the
// next: peak memory is the largest buffer plus the structure. Constants are
// stored inside the FlatBuffer, 16-byte aligned, while the file stays below
// 2 GiB; else behind it (Buffer.offset). Buffers with equal bytes are not
// merged; a buffer used twice is stored once. `stop` is looked at between
// buffers. Errors: kSystem when writing fails, kInterrupted, what Verify says,
// and a field that the operator's options table does not have.
Status WriteTflite(const graph::Graph& graph, const std::string& path,
                   StopToken stop = nullptr);
Result<std::vector<std::byte>> WriteTfliteToMemory(const graph::Graph& graph);

}  // namespace lathe::format

#endif  // LATHE_FORMAT_TFLITE_TFLITE_H_
