// The C ABI: what it gives, and that nothing null or wrong crashes it.

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "lathe/lathe.h"
#include "src/api/test_support.h"

namespace lathe {
namespace {

constexpr std::string_view kText = R"(graph main
input  x: float32[2] resizable[-1]
input  y: float32[2] resizable[-1]
z: float32[2] = ADD(x, y)
output z
signature add(left=x, right=y) -> (sum=z)
)";

std::string FileOf(std::string_view text) {
  const auto graph = graph::FromText(text);
  EXPECT_TRUE(graph) << graph.error().message;
  if (!graph) std::abort();
  const auto bytes = format::WriteTfliteToMemory(*graph);
  EXPECT_TRUE(bytes) << bytes.error().message;
  if (!bytes) std::abort();
  return std::string(reinterpret_cast<const char*>(bytes->data()),
                     bytes->size());
}

class CApi : public testing::Test {
 protected:
  void Open(std::string_view text) {
    const std::string file = FileOf(text);
    ASSERT_EQ(LatheModelFromMemory(file.data(), file.size(), nullptr, nullptr,
                                   &model_),
              LATHE_OK)
        << LatheLastError();
    ASSERT_EQ(LatheSessionCreate(model_, nullptr, &session_), LATHE_OK)
        << LatheLastError();
  }
  void TearDown() override {
    LatheModelFree(model_);  // A session keeps its model.
    LatheSessionFree(session_);
  }
  void Set(const char* name, const std::vector<float>& values) {
    void* data = nullptr;
    size_t bytes = 0;
    ASSERT_EQ(LatheSessionInputData(session_, name, &data, &bytes), LATHE_OK)
        << LatheLastError();
    ASSERT_EQ(bytes, values.size() * sizeof(float));
    std::memcpy(data, values.data(), bytes);
  }
  std::vector<float> Get(const char* name) {
    const void* data = nullptr;
    size_t bytes = 0;
    EXPECT_EQ(LatheSessionOutputData(session_, name, &data, &bytes), LATHE_OK)
        << LatheLastError();
    std::vector<float> values(bytes / sizeof(float));
    if (bytes > 0) std::memcpy(values.data(), data, bytes);
    return values;
  }

  LatheModel* model_ = nullptr;
  LatheSession* session_ = nullptr;
};

TEST_F(CApi, RunsAModel) {
  Open(kText);
  Set("left", {1, 2});
  Set("#1", {10, 20});
  ASSERT_EQ(LatheSessionRun(session_), LATHE_OK) << LatheLastError();
  EXPECT_EQ(Get("sum"), (std::vector<float>{11, 22}));
}

TEST_F(CApi, DescribesSignaturesAndTensors) {
  Open(kText);
  ASSERT_EQ(LatheModelSignatureCount(model_), 1u);
  EXPECT_STREQ(LatheModelSignatureKey(model_, 0), "add");
  EXPECT_EQ(LatheModelSignatureKey(model_, 1), nullptr);
  ASSERT_EQ(LatheModelInputCount(model_, 0), 2u);
  EXPECT_EQ(LatheModelOutputCount(model_, 0), 1u);
  LatheTensorInfo info = LATHE_INIT(LatheTensorInfo);
  ASSERT_EQ(LatheModelInput(model_, 0, 1, &info), LATHE_OK);
  EXPECT_STREQ(info.name, "right");
  EXPECT_STREQ(info.tensor, "y");
  EXPECT_EQ(info.type, LATHE_FLOAT32);
  ASSERT_EQ(info.rank, 1u);
  EXPECT_EQ(info.dims[0], 2);
  ASSERT_NE(info.signature_dims, nullptr);
  EXPECT_EQ(info.signature_dims[0], -1);
  EXPECT_EQ(info.scale_count, 0u);
  EXPECT_EQ(info.is_constant, 0);
  ASSERT_EQ(LatheSessionOutput(session_, 0, &info), LATHE_OK);
  EXPECT_STREQ(info.name, "sum");
  EXPECT_EQ(LatheSessionOutput(session_, 1, &info), LATHE_USAGE);
  EXPECT_NE(std::string(LatheLastError()).find("there are 1"),
            std::string::npos);
  uint64_t hash = 0;
  EXPECT_EQ(LatheModelContentHash(model_, &hash), LATHE_OK);
  EXPECT_NE(hash, 0u);
}

TEST_F(CApi, ResizesOneInputOrSeveral) {
  Open(kText);
  const int32_t three[] = {3};
  EXPECT_EQ(LatheSessionResize(session_, "left", three, 1),
            LATHE_INVALID_INPUT);
  const LatheInputShape both[] = {{"left", three, 1}, {"right", three, 1}};
  ASSERT_EQ(LatheSessionResizeAll(session_, both, 2), LATHE_OK)
      << LatheLastError();
  Set("left", {1, 2, 3});
  Set("right", {1, 1, 1});
  ASSERT_EQ(LatheSessionRun(session_), LATHE_OK);
  EXPECT_EQ(Get("sum"), (std::vector<float>{2, 3, 4}));
}

TEST_F(CApi, StopsAndGoesOn) {
  Open(kText);
  ASSERT_EQ(LatheSessionStop(session_), LATHE_OK);
  EXPECT_EQ(LatheSessionRun(session_), LATHE_INTERRUPTED);
  ASSERT_EQ(LatheSessionClearStop(session_), LATHE_OK);
  EXPECT_EQ(LatheSessionRun(session_), LATHE_OK);
}

TEST_F(CApi, TellsOfStepsAndMemory) {
  Open(kText);
  LatheSessionFree(session_);
  session_ = nullptr;
  std::vector<size_t> seen;
  LatheThreads* threads = nullptr;
  ASSERT_EQ(LatheThreadsCreate(2, &threads), LATHE_OK);
  EXPECT_EQ(LatheThreadsCount(threads), 2);
  LatheSessionOptions options = LATHE_INIT(LatheSessionOptions);
  options.signature = "add";
  options.threads = threads;
  options.isa = LatheIsaName(0);
  options.keep_all = 1;
  options.on_step = [](void* data, size_t step, double) {
    static_cast<std::vector<size_t>*>(data)->push_back(step);
  };
  options.on_step_data = &seen;
  ASSERT_EQ(LatheSessionCreate(model_, &options, &session_), LATHE_OK)
      << LatheLastError();
  LatheThreadsFree(threads);  // The session keeps them.
  ASSERT_EQ(LatheSessionRun(session_), LATHE_OK);
  ASSERT_EQ(LatheSessionStepCount(session_), 1u);
  EXPECT_EQ(seen, (std::vector<size_t>{0}));
  LatheStepInfo step = LATHE_INIT(LatheStepInfo);
  ASSERT_EQ(LatheSessionStep(session_, 0, &step), LATHE_OK);
  EXPECT_STREQ(step.name, "ADD");
  EXPECT_EQ(LatheSessionStep(session_, 1, &step), LATHE_USAGE);
  LatheStats stats = LATHE_INIT(LatheStats);
  ASSERT_EQ(LatheSessionStats(session_, &stats), LATHE_OK);
  EXPECT_GT(stats.arena_bytes, 0u);
  LatheTensorInfo info = LATHE_INIT(LatheTensorInfo);
  ASSERT_EQ(LatheSessionOutput(session_, 0, &info), LATHE_OK);
  const void* data = nullptr;
  size_t bytes = 0;
  ASSERT_EQ(LatheSessionTensorData(session_, info.index, &data, &bytes),
            LATHE_OK);
  EXPECT_EQ(bytes, 2 * sizeof(float));
}

TEST_F(CApi, StringsGoInAndComeOut) {
  Open(R"(graph main
input  first: bool[]
input  a: string[2]
input  b: string[2]
y: string[2] = IF(first, a, b) {then_subgraph_index=1 else_subgraph_index=2}
output y
graph then
input  a: string[2]
input  b: string[2]
output a
graph else
input  a: string[2]
input  b: string[2]
output b
)");
  const char* texts[] = {"one", "t\0o"};
  const size_t lengths[] = {3, 3};
  ASSERT_EQ(LatheSessionSetStrings(session_, "b", texts, lengths, 2), LATHE_OK)
      << LatheLastError();
  ASSERT_EQ(LatheSessionSetStrings(session_, "a", texts, nullptr, 2), LATHE_OK);
  ASSERT_EQ(LatheSessionRun(session_), LATHE_OK) << LatheLastError();
  const char* const* found = nullptr;
  const size_t* sizes = nullptr;
  size_t count = 0;
  ASSERT_EQ(LatheSessionGetStrings(session_, "y", &found, &sizes, &count),
            LATHE_OK);
  ASSERT_EQ(count, 2u);
  EXPECT_STREQ(found[0], "one");
  EXPECT_EQ(std::string(found[1], sizes[1]), std::string("t\0o", 3));
  EXPECT_EQ(LatheSessionSetStrings(session_, "a", texts, nullptr, 1),
            LATHE_INVALID_INPUT);
  void* data = nullptr;
  size_t bytes = 0;
  EXPECT_EQ(LatheSessionInputData(session_, "a", &data, &bytes),
            LATHE_INVALID_INPUT);
}

TEST_F(CApi, NamesTheMachineAndTheVersion) {
  EXPECT_STRNE(LatheVersion(), "");
  ASSERT_GE(LatheIsaCount(), 1u);
  for (size_t i = 0; i < LatheIsaCount(); ++i) {
    EXPECT_NE(LatheIsaName(i), nullptr);
  }
  EXPECT_EQ(LatheIsaName(LatheIsaCount()), nullptr);
  EXPECT_STREQ(LatheTypeName(LATHE_FLOAT32), "float32");
  EXPECT_STREQ(LatheTypeName(LATHE_UINT4), "uint4");
  EXPECT_EQ(LatheTypeName(21), nullptr);
  EXPECT_EQ(LatheTypeName(-1), nullptr);
}

TEST_F(CApi, ErrorsBelongToTheirThread) {
  LatheModel* model = nullptr;
  EXPECT_EQ(LatheModelOpen("/nowhere.tflite", nullptr, &model),
            LATHE_INVALID_INPUT);
  const std::string here = LatheLastError();
  EXPECT_NE(here.find("/nowhere.tflite"), std::string::npos) << here;
  std::thread([] {
    EXPECT_STREQ(LatheLastError(), "");
    LatheModel* other = nullptr;
    EXPECT_EQ(LatheModelFromMemory("junk", 4, "junk", nullptr, &other),
              LATHE_INVALID_INPUT);
    EXPECT_EQ(other, nullptr);
  }).join();
  EXPECT_EQ(LatheLastError(), here);
}

TEST_F(CApi, NothingNullCrashes) {
  Open(kText);
  LatheModel* model = nullptr;
  LatheSession* session = nullptr;
  LatheTensorInfo info = LATHE_INIT(LatheTensorInfo);
  LatheStepInfo step = LATHE_INIT(LatheStepInfo);
  LatheStats stats = LATHE_INIT(LatheStats);
  void* data = nullptr;
  const void* value = nullptr;
  const char* const* strings = nullptr;
  size_t count = 0;
  uint64_t hash = 0;
  const int32_t dims[] = {2};
  const LatheStatus found[] = {
      LatheThreadsCreate(1, nullptr),
      LatheModelOpen(nullptr, nullptr, &model),
      LatheModelOpen("x", nullptr, nullptr),
      LatheModelFromMemory(nullptr, 4, nullptr, nullptr, &model),
      LatheModelFromMemory("junk", 4, nullptr, nullptr, nullptr),
      LatheModelContentHash(nullptr, &hash),
      LatheModelContentHash(model_, nullptr),
      LatheModelInput(nullptr, 0, 0, &info),
      LatheModelInput(model_, 0, 0, nullptr),
      LatheModelInput(model_, 1, 0, &info),
      LatheModelOutput(nullptr, 0, 0, &info),
      LatheModelOutput(model_, 0, 9, &info),
      LatheSessionCreate(nullptr, nullptr, &session),
      LatheSessionCreate(model_, nullptr, nullptr),
      LatheSessionInput(nullptr, 0, &info),
      LatheSessionInput(session_, 0, nullptr),
      LatheSessionOutput(nullptr, 0, &info),
      LatheSessionInputData(nullptr, "x", &data, &count),
      LatheSessionInputData(session_, nullptr, &data, &count),
      LatheSessionInputData(session_, "left", nullptr, &count),
      LatheSessionInputData(session_, "left", &data, nullptr),
      LatheSessionInputData(session_, "nothing", &data, &count),
      LatheSessionOutputData(nullptr, "sum", &value, &count),
      LatheSessionOutputData(session_, nullptr, &value, &count),
      LatheSessionOutputData(session_, "sum", nullptr, &count),
      LatheSessionOutputData(session_, "sum", &value, nullptr),
      LatheSessionSetInput(nullptr, "left", "", 0),
      LatheSessionSetInput(session_, "left", nullptr, 8),
      LatheSessionSetStrings(nullptr, "left", nullptr, nullptr, 0),
      LatheSessionSetStrings(session_, "left", nullptr, nullptr, 2),
      LatheSessionGetStrings(nullptr, "sum", &strings, nullptr, &count),
      LatheSessionGetStrings(session_, "sum", nullptr, nullptr, &count),
      LatheSessionGetStrings(session_, "sum", &strings, nullptr, &count),
      LatheSessionResize(nullptr, "left", dims, 1),
      LatheSessionResize(session_, "left", nullptr, 1),
      LatheSessionResizeAll(session_, nullptr, 1),
      LatheSessionResizeAll(nullptr, nullptr, 0),
      LatheSessionRun(nullptr),
      LatheSessionStop(nullptr),
      LatheSessionClearStop(nullptr),
      LatheSessionResetState(nullptr),
      LatheSessionTensorData(nullptr, 0, &value, &count),
      LatheSessionTensorData(session_, 0, nullptr, &count),
      LatheSessionStep(nullptr, 0, &step),
      LatheSessionStep(session_, 0, nullptr),
      LatheSessionStats(nullptr, &stats),
      LatheSessionStats(session_, nullptr),
  };
  for (size_t i = 0; i < std::size(found); ++i) {
    EXPECT_EQ(found[i], LATHE_USAGE) << "call " << i;
  }
  EXPECT_EQ(model, nullptr);
  EXPECT_EQ(session, nullptr);
  EXPECT_EQ(LatheThreadsCount(nullptr), 0);
  EXPECT_EQ(LatheModelSignatureCount(nullptr), 0u);
  EXPECT_EQ(LatheModelSignatureKey(nullptr, 0), nullptr);
  EXPECT_EQ(LatheModelInputCount(nullptr, 0), 0u);
  EXPECT_EQ(LatheModelOutputCount(nullptr, 0), 0u);
  EXPECT_EQ(LatheSessionInputCount(nullptr), 0u);
  EXPECT_EQ(LatheSessionOutputCount(nullptr), 0u);
  EXPECT_EQ(LatheSessionStepCount(nullptr), 0u);
  LatheThreadsFree(nullptr);
  LatheModelFree(nullptr);
  LatheSessionFree(nullptr);
}

TEST_F(CApi, StructsAreReadAndWrittenByTheirSize) {
  Open(kText);
  // An older caller: no more than it has room for is written.
  LatheTensorInfo info = LATHE_INIT(LatheTensorInfo);
  info.struct_size = offsetof(LatheTensorInfo, index);
  info.index = 77;
  ASSERT_EQ(LatheSessionInput(session_, 1, &info), LATHE_OK);
  EXPECT_STREQ(info.name, "right");
  EXPECT_EQ(info.index, 77);
  info.struct_size = 0;  // Not initialized.
  EXPECT_EQ(LatheSessionInput(session_, 1, &info), LATHE_USAGE);
  LatheSessionOptions options = {};
  LatheSession* other = nullptr;
  EXPECT_EQ(LatheSessionCreate(model_, &options, &other), LATHE_USAGE);
  LatheModelOptions limits = LATHE_INIT(LatheModelOptions);
  limits.memory_limit_bytes = 16;
  const std::string file = FileOf(kText);
  LatheModel* small = nullptr;
  ASSERT_EQ(
      LatheModelFromMemory(file.data(), file.size(), "small", &limits, &small),
      LATHE_OK);
  EXPECT_EQ(LatheSessionCreate(small, nullptr, &other), LATHE_INVALID_INPUT);
  EXPECT_NE(std::string(LatheLastError()).find("limit"), std::string::npos);
  LatheModelFree(small);
  limits.memory_limit_bytes = 0;
  limits.skip_pass_count = 1;
  EXPECT_EQ(
      LatheModelFromMemory(file.data(), file.size(), "small", &limits, &small),
      LATHE_USAGE);
}

}  // namespace
}  // namespace lathe
