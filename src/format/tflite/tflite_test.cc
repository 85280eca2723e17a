// Writing and reading .tflite: equal graphs, layout of the file, errors.

#include "src/format/tflite/tflite.h"

#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "flatbuffers/flatbuffers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/graph/text.h"

namespace lathe::format {
namespace {

namespace fs = std::filesystem;
using graph::FirstDifference;
using graph::Graph;
using testing::HasSubstr;

Graph FromText(std::string_view text) {
  auto graph = graph::FromText(text);
  EXPECT_TRUE(graph) << graph.error().message;
  return *std::move(graph);
}

// A bit of everything the format has.
Graph Rich() {
  Graph graph = FromText(R"(graph main
    input x: float32[1,4,8] resizable[1,-1,8]
    const w: float32[3,8]
    const q: int8[2,1] scale[0.5,0.25] zero[0,0] = 1 -2
    const axis: int32[] = 1
    const shape: int32[2] = 4 3
    variable state: float32[1,2]
    y = FULLY_CONNECTED(x, w, -) {keep_num_dims=true}
    a, b = SPLIT(axis, y) {num_splits=2}
    z = RESHAPE(y, shape) {new_shape=[4,3]}
    e = LEAKY_RELU(z) {alpha=0.25}
    c: float32[4,2] = CUSTOM MyOp(e, state) 0x0aff01
    output c
    output b
    signature serve(in=x) -> (out=c, other=b)
    graph second
    input p: float32[2]
    r = RELU(p)
    output r)");
  graph.description = "made by a test";
  graph.metadata.push_back(
      {"note", static_cast<uint32_t>(graph.buffers.size())});
  const std::string note = "seventeen letters";
  graph.buffers.push_back(graph::MakeBuffer(std::as_bytes(std::span(note))));
  graph.metadata_buffers = {0};
  graph::Tensor& w = graph.subgraphs[0].tensors[1];
  w.quantization.emplace();
  w.quantization->details = graph::Quantization::Details::kBlockwise;
  w.quantization->scales_tensor = 2;
  w.quantization->zero_points_tensor = graph::kNoTensor;
  w.quantization->block_size = 4;
  graph.subgraphs[0].ops[0].mutating_variable_inputs = {true, false};
  graph.subgraphs[0].ops[4].intermediates = {5};
  graph.subgraphs[0].tensors[5].has_rank = true;
  graph.subgraphs[0].debug_metadata_index = 3;
  return graph;
}

std::string FolderOfTest() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  const std::string folder = testing::TempDir() + "/lathe_" + info->name();
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

TEST(Tflite, ReadsBackWhatItWrites) {
  const Graph graph = Rich();
  const std::string path = FolderOfTest() + "/rich.tflite";
  const Status written = WriteTflite(graph, path);
  ASSERT_TRUE(written) << written.error().message;
  const auto read = OpenTflite(path);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(FirstDifference(graph, *read), "");
  // Nothing but the file is left behind.
  EXPECT_EQ(std::distance(fs::directory_iterator(fs::path(path).parent_path()),
                          fs::directory_iterator()),
            1);
  struct stat status;
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_NE(status.st_mode & S_IRUSR, 0U);
}

TEST(Tflite, IsOneFlatBufferWithAlignedConstants) {
  const auto bytes = WriteTfliteToMemory(Rich());
  ASSERT_TRUE(bytes);
  const auto read = ReadTflite(*bytes, nullptr, "memory");
  ASSERT_TRUE(read) << read.error().message;
  size_t inside = 0;
  for (const graph::Buffer& buffer : read->buffers) {
    if (buffer.empty()) continue;
    const auto at = static_cast<size_t>(buffer.bytes.data() - bytes->data());
    EXPECT_EQ(at % 16, 0U);
    uint32_t length;
    std::memcpy(&length, bytes->data() + at - 4, sizeof(length));
    EXPECT_EQ(length, buffer.size());
    ++inside;
  }
  EXPECT_EQ(inside, 5U);
}

TEST(Tflite, StreamsProducedConstantsOneByOne) {
  Graph graph = FromText(R"(graph g
    input x: float32[4]
    const a: float32[4] = 1 2 3 4
    const b: float32[4] = 5 6 7 8
    y = ADD(x, a)
    z = MUL(y, b)
    output z)");
  const Graph expected = graph;
  int running = 0;
  for (graph::Buffer& buffer : graph.buffers) {
    if (buffer.empty()) continue;
    const graph::Buffer stored = buffer;
    buffer.produced_bytes = stored.bytes.size();
    buffer.produce = [stored, &running](std::span<std::byte> out) -> Status {
      EXPECT_EQ(running++, 0);
      std::ranges::copy(stored.bytes, out.begin());
      --running;
      return {};
    };
    buffer.bytes = {};
  }
  const auto bytes = WriteTfliteToMemory(graph);
  ASSERT_TRUE(bytes) << bytes.error().message;
  const auto read = ReadTflite(*bytes, nullptr, "memory");
  ASSERT_TRUE(read);
  EXPECT_EQ(FirstDifference(expected, *read), "");
}

TEST(Tflite, StoresASharedBufferOnceAndDropsUnusedOnes) {
  Graph graph = FromText(R"(graph g
    input x: float32[4]
    const a: float32[4] = 1 2 3 4
    const b: float32[4] = 5 6 7 8
    y = ADD(x, a)
    z = MUL(y, b)
    output z)");
  graph.subgraphs[0].tensors[2].buffer = graph.subgraphs[0].tensors[1].buffer;
  const auto bytes = WriteTfliteToMemory(graph);
  ASSERT_TRUE(bytes);
  const auto read = ReadTflite(*bytes, nullptr, "memory");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->buffers.size(), 2U);
  EXPECT_EQ(FirstDifference(graph, *read), "");
}

TEST(Tflite, ReadsBackNumbersThatAreNone) {
  // Found by the fuzzer: a NaN in a range is the same NaN after a round trip.
  Graph graph = FromText(R"(graph g
    input x: float32[4]
    y = LEAKY_RELU(x)
    output y)");
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  graph.subgraphs[0].tensors[0].quantization.emplace().min = {nan};
  graph.subgraphs[0].ops[0].options = {.table = "LeakyReluOptions",
                                       .fields = {{"alpha", nan}}};
  const auto bytes = WriteTfliteToMemory(graph);
  ASSERT_TRUE(bytes);
  const auto read = ReadTflite(*bytes, nullptr, "memory");
  ASSERT_TRUE(read);
  EXPECT_EQ(FirstDifference(graph, *read), "");
  graph.subgraphs[0].tensors[0].quantization->min = {0};
  EXPECT_EQ(FirstDifference(graph, *read),
            "subgraph 0: tensor 0 'x': quantization");
}

TEST(Tflite, LeavesNothingBehindWhenWritingFails) {
  const std::string folder = FolderOfTest();
  Graph graph = Rich();
  graph::Buffer& buffer = graph.buffers[1];
  buffer.produced_bytes = buffer.bytes.size();
  buffer.produce = [](std::span<std::byte>) -> Status {
    return Invalid("tensor 'w' is missing");
  };
  const Status failed = WriteTflite(graph, folder + "/a.tflite");
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("tensor 'w' is missing"));
  const std::atomic<bool> stop = true;
  const Status stopped = WriteTflite(Rich(), folder + "/a.tflite", &stop);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kInterrupted);
  EXPECT_TRUE(fs::is_empty(folder));
}

TEST(Tflite, SaysWhyAFileCannotBeWritten) {
  const std::string folder = FolderOfTest();
  const Status folder_status = WriteTflite(Rich(), folder);
  ASSERT_FALSE(folder_status);
  EXPECT_THAT(folder_status.error().message, HasSubstr("is a folder"));
  const Status missing = WriteTflite(Rich(), folder + "/none/a.tflite");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kSystem);
  EXPECT_THAT(missing.error().message, HasSubstr("No such file"));
}

TEST(Tflite, RefusesOptionsThatTheSchemaDoesNotHave) {
  const auto refusal = [](graph::Attribute field) {
    Graph graph = Rich();
    graph.subgraphs[0].ops[0].options.fields = {std::move(field)};
    const auto bytes = WriteTfliteToMemory(graph);
    return bytes ? std::string("written") : bytes.error().message;
  };
  EXPECT_THAT(refusal({"keep_dims", true}),
              HasSubstr("operator 0 FULLY_CONNECTED: FullyConnectedOptions has "
                        "no field 'keep_dims'"));
  EXPECT_THAT(refusal({"keep_num_dims", std::string("yes")}),
              HasSubstr("another kind"));
  EXPECT_THAT(refusal({"keep_num_dims", int64_t{2}}), HasSubstr("too large"));
}

TEST(Tflite, RefusesWhatIsNoModel) {
  const auto refusal = [](std::string text) {
    const auto graph =
        ReadTflite(std::as_bytes(std::span(text)), nullptr, "text");
    return graph ? std::string("read") : graph.error().message;
  };
  EXPECT_THAT(refusal(""), HasSubstr("text: not a .tflite file: 0 bytes"));
  EXPECT_THAT(refusal("hello, I am a text"), HasSubstr("not a .tflite file"));
  EXPECT_THAT(refusal(std::string("\x10\0\0\0TFL3", 8)), HasSubstr("damaged"));
  const auto missing = OpenTflite("/nowhere/at/all.tflite");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kInvalidInput);
}

TEST(Tflite, RefusesUnknownOperatorsAndVersionsAsUnsupported) {
  Graph graph = Rich();
  graph.subgraphs[0].ops[0].version = 99;
  const auto bytes = WriteTfliteToMemory(graph);
  ASSERT_TRUE(bytes);
  const auto read = ReadTflite(*bytes, nullptr, "memory");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(read.error().message,
              HasSubstr("FULLY_CONNECTED version 99, highest known is 14"));
}

// Two constants of `model`, both in the file `name`.
Graph External(const std::string& name) {
  Graph graph = FromText(R"(graph main
    input x: float32[4]
    const a: float32[4]
    const b: float32[4]
    y = ADD(x, a)
    z = MUL(y, b)
    output z)");
  graph.external_buffer_groups = {name};
  graph.external_buffers = {{7, 0, 4, 16, ""}, {9, 0, 20, 16, ""}};
  for (const size_t i : {1, 2}) {
    graph::Tensor& tensor = graph.subgraphs[0].tensors[i];
    tensor.buffer = 0;
    tensor.external_buffer = i == 1 ? 7 : 9;
  }
  return graph;
}

TEST(ExternalBuffers, AreReadFromTheFilesBesideTheModel) {
  const std::string folder = FolderOfTest();
  fs::create_directories(folder + "/parts");
  const std::vector<float> values = {-1, 1, 2, 3, 4, 5, 6, 7, 8};
  std::ofstream(folder + "/parts/weights.bin", std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()), 36);
  const Graph graph = External("parts/weights.bin");
  ASSERT_TRUE(WriteTflite(graph, folder + "/model.tflite"));
  const auto read = OpenTflite(folder + "/model.tflite");
  ASSERT_TRUE(read) << read.error().message;
  const Graph wanted = FromText(R"(graph main
    input x: float32[4]
    const a: float32[4] = 1 2 3 4
    const b: float32[4] = 5 6 7 8
    y = ADD(x, a)
    z = MUL(y, b)
    output z)");
  EXPECT_EQ(FirstDifference(*read, wanted), "");
}

TEST(ExternalBuffers, AreRefusedByWhatIsWrongWithThem) {
  const std::string folder = FolderOfTest();
  std::ofstream(folder + "/weights.bin") << std::string(35, 'x');
  const auto refusal = [&](const std::string& name, auto change) {
    Graph graph = External(name);
    change(graph);
    EXPECT_TRUE(WriteTflite(graph, folder + "/model.tflite"));
    const auto read = OpenTflite(folder + "/model.tflite");
    return read ? std::string("read") : read.error().message;
  };
  const auto nothing = [](Graph&) {};
  EXPECT_THAT(refusal("weights.bin", nothing),
              HasSubstr("subgraph 0 tensor 2 \"b\": \"weights.bin\", external "
                        "buffer 9: bytes 20 to 20+16 of a file of 35"));
  EXPECT_THAT(refusal("missing.bin", nothing),
              HasSubstr("subgraph 0 tensor 1 \"a\": its data lies in another "
                        "file: " +
                        folder + "/missing.bin: no such file"));
  for (const std::string name :
       {"/etc/passwd", "../weights.bin", "a/../../b", ""}) {
    EXPECT_THAT(refusal(name, nothing),
                HasSubstr("\"" + name +
                          "\"; allowed is the name of a file in the model's "
                          "folder"));
  }
  EXPECT_THAT(refusal(std::string("weights.bin\0x", 13), nothing),
              HasSubstr("allowed is the name of a file"));
  EXPECT_THAT(refusal(".", nothing), HasSubstr("a folder"));
  EXPECT_THAT(refusal("weights.bin",
                      [](Graph& g) {
                        g.external_buffers[0].length = 12;
                        g.external_buffers[1].offset = 0;
                      }),
              HasSubstr("12 bytes of data; float32[4] has 16"));
  EXPECT_THAT(refusal("weights.bin",
                      [](Graph& g) { g.external_buffers[0].length = 0; }),
              HasSubstr("external buffer 7 has no bytes"));
  EXPECT_THAT(
      refusal("weights.bin",
              [](Graph& g) { g.external_buffers[0].offset = UINT64_MAX - 3; }),
      HasSubstr("of a file of 35"));
  EXPECT_THAT(refusal("weights.bin",
                      [](Graph& g) { g.external_buffers[0].packing = "zip"; }),
              HasSubstr("unknown packing \"zip\" of external buffer 7"));
  EXPECT_THAT(refusal("weights.bin",
                      [](Graph& g) {
                        g.external_buffers[1].id = 7;
                        g.subgraphs[0].tensors[2].external_buffer = 7;
                      }),
              HasSubstr("external buffer 7 is declared twice"));
  const auto bytes = WriteTfliteToMemory(External("weights.bin"));
  ASSERT_TRUE(bytes);
  const auto read = ReadTflite(*bytes, nullptr, "memory");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(read.error().message,
              HasSubstr("\"a\": its data lies in the file \"weights.bin\"; a "
                        "model in memory has none"));
}

// Memory that a caller hands over may start anywhere.
TEST(Tflite, ReadsFromUnalignedMemory) {
  const Graph graph = Rich();
  const auto bytes = WriteTfliteToMemory(graph);
  ASSERT_TRUE(bytes);
  std::vector<std::byte> shifted(bytes->size() + 1);
  std::ranges::copy(*bytes, shifted.begin() + 1);
  const auto read = ReadTflite(std::span(shifted).subspan(1), nullptr, "odd");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(FirstDifference(graph, *read), "");
}

}  // namespace
}  // namespace lathe::format
