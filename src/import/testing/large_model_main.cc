// lathe_large_model FILE LAYERS WIDTH: writes a .tflite of so many
// FULLY_CONNECTED layers of WIDTH x WIDTH name-keyed floats, one at a time.

#include <cstdio>
#include <cstdlib>

#include "src/format/tflite/tflite.h"
#include "src/graph/builder.h"
#include "src/import/testing/name_keyed.h"

namespace {

lathe::Status Write(const char* path, int layers, int32_t width) {
  using lathe::graph::TensorId;
  using lathe::graph::Type;
  lathe::graph::Graph graph = lathe::graph::Graph::Empty();
  lathe::graph::Builder b(graph, "main");
  const TensorId x = b.Input("x", Type::kFloat32, {1, width});
  TensorId y = x;
  for (int i = 0; i < layers; ++i) {
    const std::string name = fmt::format("layer{}/weight", i);
    const TensorId w =
        b.Produced(name, Type::kFloat32, {width, width},
                   [name, width](std::span<std::byte> bytes) -> lathe::Status {
                     lathe::importer::NameKeyedWeights(
                         name, {width, width}, 0,
                         {reinterpret_cast<float*>(bytes.data()),
                          bytes.size() / sizeof(float)});
                     return {};
                   });
    y = b.Op(lathe::graph::OpCode::kFullyConnected, {y, w}, {},
             fmt::format("layer{}/y", i));
  }
  const std::pair<std::string, TensorId> inputs[] = {{"x", x}};
  const std::pair<std::string, TensorId> outputs[] = {{"y", y}};
  LATHE_TRY(b.Finish("serving", inputs, outputs));
  return lathe::format::WriteTflite(graph, path);
}

}  // namespace

int main(int argc, char** argv) {
  const int layers = argc == 4 ? std::atoi(argv[2]) : 0;
  const int width = argc == 4 ? std::atoi(argv[3]) : 0;
  if (layers < 1 || layers > 10000 || width < 1 || width > 16384) {
    std::fprintf(stderr, "usage: lathe_large_model FILE LAYERS WIDTH\n");
    return 2;
  }
  const lathe::Status status = Write(argv[1], layers, width);
  if (!status) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status ? 0 : static_cast<int>(status.error().code);
}
