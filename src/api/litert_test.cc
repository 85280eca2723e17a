// The LiteRT twin, as its users write it.

#include "lathe/litert.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <sstream>
#include <thread>
#include <unordered_map>

#include "gmock/gmock.h"
#include "src/api/test_support.h"

namespace lathe {
namespace {

using litert::CompiledModel;
using litert::ElementType;
using litert::Environment;
using litert::Expected;
using litert::HwAccelerators;
using litert::Options;
using litert::RankedTensorType;
using litert::Status;
using litert::TensorBuffer;
using litert::TensorBufferScopedLock;
using testing::ElementsAre;

#define ASSERT_OK(expression)                    \
  {                                              \
    const auto done = (expression);              \
    ASSERT_TRUE(done) << done.Error().Message(); \
  }
#define ASSERT_NAME(line) ASSERT_NAME_INNER(line)
#define ASSERT_NAME_INNER(line) made_##line
#define ASSERT_MAKE(declaration, expression) \
  ASSERT_MAKE_NAMED(ASSERT_NAME(__LINE__), declaration, expression)
#define ASSERT_MAKE_NAMED(name, declaration, expression) \
  auto name = (expression);                              \
  ASSERT_TRUE(name) << name.Error().Message();           \
  declaration = litert::internal::Forward(name)

constexpr std::string_view kAdd = R"(graph main
input  x: float32[2] resizable[-1]
input  y: float32[2] resizable[-1]
z: float32[2] = ADD(x, y)
output z
signature add(arg0=x, arg1=y) -> (sum=z)
graph twice
input  x: int8[3] scale[0.5] zero[3]
y: int8[6] scale[0.5] zero[3] = CONCATENATION(x, x) {axis=0}
output y
signature twice(x=x) -> (y=y)
)";

std::vector<uint8_t> FileOf(std::string_view text) {
  const auto graph = graph::FromText(text);
  EXPECT_TRUE(graph) << graph.error().message;
  if (!graph) std::abort();
  const auto bytes = format::WriteTfliteToMemory(*graph);
  EXPECT_TRUE(bytes) << bytes.error().message;
  if (!bytes) std::abort();
  const auto* first = reinterpret_cast<const uint8_t*>(bytes->data());
  return {first, first + bytes->size()};
}

class Twin : public testing::Test {
 protected:
  Environment env_ = [] {
    LITERT_ASSIGN_OR_ABORT(auto env, Environment::Create({}));
    return env;
  }();

  CompiledModel Compile(std::string_view text) {
    const std::vector<uint8_t> file = FileOf(text);
    auto model = CompiledModel::Create(
        env_, litert::BufferRef<uint8_t>(file.data(), file.size()),
        HwAccelerators::kCpu);
    EXPECT_TRUE(model) << model.Error().Message();
    if (!model) std::abort();
    return std::move(*model);
  }
};

TEST_F(Twin, TheCallSequenceOfTheGuideWorks) {
  CompiledModel model = Compile(kAdd);
  const auto run = [&](std::span<const float> samples,
                       std::span<float> sums) -> Expected<void> {
    LITERT_ASSIGN_OR_RETURN(auto inputs, model.CreateInputBuffers());
    LITERT_ASSIGN_OR_RETURN(auto outputs, model.CreateOutputBuffers());
    LITERT_RETURN_IF_ERROR(inputs[0].Write<float>(samples));
    LITERT_RETURN_IF_ERROR(inputs[1].Write<float>(samples));
    LITERT_RETURN_IF_ERROR(model.Run(inputs, outputs));
    LITERT_RETURN_IF_ERROR(outputs[0].Read<float>(sums));
    return {};
  };
  const float samples[] = {1, 2};
  float sums[2] = {};
  ASSERT_OK(run(samples, sums));
  EXPECT_THAT(sums, ElementsAre(2, 4));
}

TEST_F(Twin, BuffersAreLockedInPlace) {
  CompiledModel model = Compile(kAdd);
  ASSERT_MAKE(auto inputs, model.CreateInputBuffers(0));
  ASSERT_MAKE(auto outputs, model.CreateOutputBuffers("add"));
  for (TensorBuffer& input : inputs) {
    ASSERT_MAKE(auto lock_and_addr, TensorBufferScopedLock::Create<float>(
                                        input, TensorBuffer::LockMode::kWrite));
    lock_and_addr.second[0] = 3;
    lock_and_addr.second[1] = 4;
  }
  ASSERT_OK(model.Run(0, inputs, outputs));
  const TensorBuffer& result = outputs[0];
  ASSERT_MAKE(auto lock_and_addr, TensorBufferScopedLock::Create<float>(
                                      result, TensorBuffer::LockMode::kRead));
  EXPECT_EQ(lock_and_addr.second[0], 6);
  EXPECT_EQ(lock_and_addr.second[1], 8);
}

TEST_F(Twin, RunsWithMapsByName) {
  CompiledModel model = Compile(kAdd);
  litert::FlatHashMap<litert::StringView, TensorBuffer> inputs;
  std::map<std::string, TensorBuffer> outputs;
  ASSERT_MAKE(inputs["arg0"], model.CreateInputBuffer("arg0"));
  ASSERT_MAKE(inputs["arg1"], model.CreateInputBuffer("add", "arg1"));
  ASSERT_MAKE(outputs["sum"], model.CreateOutputBuffer(0, "sum"));
  const std::vector<float> values = {1, 2};
  ASSERT_OK(inputs["arg0"].Write<float>(values));
  ASSERT_OK(inputs["arg1"].Write<float>(values));
  ASSERT_OK(model.Run(inputs, outputs));
  bool async = true;
  ASSERT_OK(model.RunAsync("add", inputs, outputs, async));
  EXPECT_FALSE(async);
  std::vector<float> sums(2);
  ASSERT_OK(outputs["sum"].Read<float>(sums));
  EXPECT_THAT(sums, ElementsAre(2, 4));

  inputs.erase("arg1");
  const auto lacking = model.Run(inputs, outputs);
  ASSERT_FALSE(lacking);
  EXPECT_EQ(lacking.Error().StatusCC(), Status::kErrorMissingInputTensor);
}

TEST_F(Twin, EverySignatureRuns) {
  CompiledModel model = Compile(kAdd);
  EXPECT_EQ(model.GetNumSignatures(), 2u);
  ASSERT_MAKE(const auto keys, model.GetSignatureKeys());
  EXPECT_THAT(keys, ElementsAre("add", "twice"));
  ASSERT_MAKE(const auto names, model.GetSignatureInputNames("twice"));
  EXPECT_THAT(names, ElementsAre("x"));
  ASSERT_MAKE(const auto first, model.GetSignatureInputNames());
  EXPECT_THAT(first, ElementsAre("arg0", "arg1"));
  ASSERT_MAKE(const auto outs, model.GetSignatureOutputNames(1));
  EXPECT_THAT(outs, ElementsAre("y"));
  ASSERT_MAKE(const size_t index, model.GetSignatureIndex("twice"));
  EXPECT_EQ(index, 1u);

  ASSERT_MAKE(auto inputs, model.CreateInputBuffers("twice"));
  ASSERT_MAKE(auto outputs, model.CreateOutputBuffers("twice"));
  const int8_t values[] = {-5, 3, 9};
  ASSERT_OK(inputs[0].Write<int8_t>(values));
  ASSERT_OK(model.Run("twice", inputs, outputs));
  int8_t found[6];
  ASSERT_OK(outputs[0].Read<int8_t>(found));
  EXPECT_THAT(found, ElementsAre(-5, 3, 9, -5, 3, 9));

  const auto unknown = model.FindSignature("nothing");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.Error().StatusCC(), Status::kErrorNotFound);
  EXPECT_NE(unknown.Error().Message().find("\"add\" \"twice\""),
            std::string::npos);
}

TEST_F(Twin, DescribesTypesAndQuantization) {
  CompiledModel model = Compile(kAdd);
  ASSERT_MAKE(const auto type, model.GetInputTensorType(0, "arg0"));
  EXPECT_EQ(type.ElementType(), ElementType::Float32);
  EXPECT_THAT(type.Layout().Dimensions(), ElementsAre(-1));
  ASSERT_MAKE(const auto same, model.GetInputTensorType(0, 0));
  EXPECT_TRUE(same == type);
  ASSERT_MAKE(const auto bytes, model.GetOutputTensorType("twice", "y"));
  EXPECT_TRUE(bytes == litert::MakeRankedTensorType<int8_t>({6}));
  ASSERT_MAKE(const auto kind, model.GetInputTensorQTypeId("twice", "x"));
  EXPECT_EQ(kind, litert::QuantizationTypeId::PerTensor);
  ASSERT_MAKE(const auto q, model.GetInputTensorPerTensorQuantization(1, 0));
  EXPECT_EQ(q.scale, 0.5f);
  EXPECT_EQ(q.zero_point, 3);
  ASSERT_MAKE(const auto signature, model.GetSignature(1));
  ASSERT_MAKE(const auto& tensor, signature.InputTensor("x"));
  EXPECT_EQ(tensor.Name(), "x");
  EXPECT_TRUE(tensor.HasQuantization());
  ASSERT_MAKE(const auto needs, model.GetInputBufferRequirements("arg0"));
  ASSERT_MAKE(const size_t size, needs.BufferSize());
  EXPECT_EQ(size, 8u);
  ASSERT_MAKE(const auto types, needs.SupportedTypes());
  EXPECT_THAT(types, ElementsAre(litert::TensorBufferType::kHostMemory));
  const auto missing = model.GetOutputTensorType("nothing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.Error().StatusCC(), Status::kErrorNotFound);
  const auto beyond = model.GetInputTensorType(0, 2);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.Error().StatusCC(), Status::kErrorInvalidArgument);
}

TEST_F(Twin, InputsAreResizedOneByOneAndPlannedTogether) {
  CompiledModel model = Compile(kAdd);
  ASSERT_OK(model.ResizeInputTensor(0, "arg0", {4}));
  ASSERT_MAKE(TensorBuffer x, model.CreateInputBuffer("arg0"));
  ASSERT_MAKE(const auto type, x.TensorType());
  EXPECT_THAT(type.Layout().Dimensions(), ElementsAre(4));
  const std::vector<int> dims = {4};
  ASSERT_OK(model.ResizeInputTensor("arg1", dims));
  ASSERT_MAKE(const auto layouts, model.GetOutputTensorLayouts(0, true));
  EXPECT_THAT(layouts[0].Dimensions(), ElementsAre(4));
  ASSERT_MAKE(auto inputs, model.CreateInputBuffers());
  ASSERT_MAKE(auto outputs, model.CreateOutputBuffers());
  const std::vector<float> values = {1, 2, 3, 4};
  for (TensorBuffer& input : inputs) ASSERT_OK(input.Write<float>(values));
  ASSERT_OK(model.Run(inputs, outputs));
  std::vector<float> sums(4);
  ASSERT_OK(outputs[0].Read<float>(sums));
  EXPECT_THAT(sums, ElementsAre(2, 4, 6, 8));

  const auto fixed = model.ResizeInputTensor("twice", "x", {4});
  ASSERT_FALSE(fixed);
  EXPECT_EQ(fixed.Error().StatusCC(), Status::kErrorInvalidArgument);
  ASSERT_OK(model.ResizeInputTensorNonStrict("twice", "x", {4}));
  const auto rank = model.ResizeInputTensor(0, 0, {4, 1});
  ASSERT_FALSE(rank);
}

TEST_F(Twin, RunResizesToTheBuffersItIsGiven) {
  CompiledModel model = Compile(kAdd);
  std::vector<TensorBuffer> inputs, outputs;
  std::vector<float> x = {1, 2, 3}, y = {10, 20, 30};
  for (std::vector<float>* values : {&x, &y}) {
    ASSERT_MAKE(TensorBuffer buffer,
                TensorBuffer::CreateFromHostMemory(
                    env_, litert::MakeRankedTensorType<float>({3}),
                    values->data(), values->size() * sizeof(float)));
    inputs.push_back(std::move(buffer));
  }
  ASSERT_MAKE(outputs, model.CreateOutputBuffers());  // Of two values.
  ASSERT_OK(model.Run(inputs, outputs));
  ASSERT_MAKE(const auto type, outputs[0].TensorType());
  EXPECT_THAT(type.Layout().Dimensions(), ElementsAre(3));
  std::vector<float> sums(3);
  ASSERT_OK(outputs[0].Read<float>(sums));
  EXPECT_THAT(sums, ElementsAre(11, 22, 33));
}

TEST_F(Twin, BuffersShareAndCheckTheirMemory) {
  const auto type = litert::MakeRankedTensorType<float>({4});
  ASSERT_MAKE(TensorBuffer buffer,
              TensorBuffer::CreateManaged(
                  env_, litert::TensorBufferType::kHostMemory, type, 16));
  ASSERT_MAKE(TensorBuffer twin, buffer.Duplicate());
  const std::vector<float> values = {1, 2, 3, 4}, long_ones(5, 0.0f);
  ASSERT_OK(buffer.Write<float>(values));
  std::vector<float> found(4);
  ASSERT_OK(twin.Read<float>(found));
  EXPECT_EQ(found, values);
  const auto too_long = buffer.Write<float>(long_ones);
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.Error().StatusCC(), Status::kErrorRuntimeFailure);
  ASSERT_OK(twin.Clear());
  ASSERT_OK(buffer.Read<float>(found));
  EXPECT_THAT(found, ElementsAre(0, 0, 0, 0));
  ASSERT_MAKE(const size_t packed, buffer.PackedSize());
  EXPECT_EQ(packed, 16u);
  EXPECT_FALSE(TensorBuffer::CreateManaged(
      env_, litert::TensorBufferType::kHostMemory, type, 15));
  EXPECT_FALSE(TensorBuffer().Lock());
  EXPECT_FALSE(TensorBuffer().Write<float>(values));
}

TEST_F(Twin, WrongBuffersAreErrors) {
  CompiledModel model = Compile(kAdd);
  ASSERT_MAKE(auto inputs, model.CreateInputBuffers());
  ASSERT_MAKE(auto outputs, model.CreateOutputBuffers());
  EXPECT_FALSE(model.Run(outputs, outputs));  // One input of two.
  EXPECT_FALSE(model.Run(5, inputs, outputs));
  EXPECT_FALSE(model.Run("nothing", inputs, outputs));
  ASSERT_MAKE(inputs[1], TensorBuffer::CreateManaged(
                             env_, litert::TensorBufferType::kHostMemory,
                             litert::MakeRankedTensorType<int32_t>({2}), 8));
  const auto wrong_type = model.Run(inputs, outputs);
  ASSERT_FALSE(wrong_type);
  EXPECT_EQ(wrong_type.Error().StatusCC(), Status::kErrorInvalidArgument);
  EXPECT_NE(wrong_type.Error().Message().find("int32"), std::string::npos);
  inputs[1] = TensorBuffer();
  EXPECT_FALSE(model.Run(inputs, outputs));
  EXPECT_FALSE(CompiledModel().Run(inputs, outputs));
}

TEST_F(Twin, AcceleratorsOtherThanTheCpuAreRefusedByName) {
  const std::vector<uint8_t> file = FileOf(kAdd);
  const litert::BufferRef<uint8_t> bytes(file.data(), file.size());
  const auto gpu = CompiledModel::Create(env_, bytes, HwAccelerators::kGpu);
  ASSERT_FALSE(gpu);
  EXPECT_EQ(gpu.Error().StatusCC(), Status::kErrorUnsupported);
  EXPECT_NE(gpu.Error().Message().find("kCpu"), std::string::npos);
  ASSERT_MAKE(Options options, Options::Create());
  EXPECT_FALSE(options.SetHardwareAccelerators(HwAccelerators::kNpu));
  EXPECT_FALSE(CompiledModel::Create(env_, bytes, options));
  ASSERT_OK(options.SetHardwareAccelerators(HwAccelerators::kGpu |
                                            HwAccelerators::kCpu));
  EXPECT_TRUE(CompiledModel::Create(env_, bytes, options));
  ASSERT_MAKE(const auto there, env_.GetAvailableAccelerators());
  EXPECT_THAT(there, ElementsAre(HwAccelerators::kCpu));
  const std::vector<Environment::Option> dispatch = {
      {Environment::OptionTag::kDispatchLibraryDir, "/lib"}};
  EXPECT_FALSE(Environment::Create(dispatch));
  const std::vector<Environment::Option> quiet = {
      {Environment::OptionTag::kMinLoggerSeverity, 3},
      {Environment::OptionTag::kCompilerCacheDir, "/tmp"}};
  EXPECT_TRUE(Environment::Create(quiet));
}

TEST_F(Twin, OptionsAreCheckedWhenTheyAreSet) {
  ASSERT_MAKE(Options options, Options::Create());
  ASSERT_MAKE(auto& cpu, options.GetCpuOptions());
  ASSERT_OK(cpu.SetNumThreads(2));
  ASSERT_MAKE(const auto& again, options.GetCpuOptions());
  ASSERT_MAKE(const int threads, again.GetNumThreads());
  EXPECT_EQ(threads, 2);
  EXPECT_FALSE(cpu.SetNumThreads(-1));
  EXPECT_FALSE(cpu.SetXNNPackFlags(1));
  EXPECT_FALSE(cpu.SetKernelMode(litert::kLiteRtCpuKernelModeReference));
  ASSERT_MAKE(auto& runtime, options.GetRuntimeOptions());
  EXPECT_FALSE(runtime.SetEnableProfiling(true));
  ASSERT_OK(
      runtime.SetErrorReporterMode(litert::kLiteRtErrorReporterModeBuffer));
  const std::vector<uint8_t> file = FileOf(kAdd);
  ASSERT_MAKE(CompiledModel model,
              CompiledModel::Create(env_, {file.data(), file.size()}, options));
  EXPECT_FALSE(model.Run({}, {}));
  ASSERT_OK(model.ReportError("wanted %d", 7));
  ASSERT_MAKE(const std::string errors, model.GetErrorMessages());
  EXPECT_NE(errors.find("0 input buffers"), std::string::npos) << errors;
  EXPECT_NE(errors.find("wanted 7\n"), std::string::npos) << errors;
  ASSERT_OK(model.ClearErrors());
  const auto dispatch = model.SetDispatchAnnotation("a", "b");
  ASSERT_FALSE(dispatch);
  EXPECT_EQ(dispatch.Error().StatusCC(), Status::kErrorUnsupported);
}

TEST_F(Twin, ModelsComeFromFilesBuffersAndDescriptors) {
  const std::vector<uint8_t> file = FileOf(kAdd);
  const TempFolder folder;
  const std::string path = folder / "add.tflite";
  {
    std::ofstream out(path, std::ios::binary);
    out << "head";
    out.write(reinterpret_cast<const char*>(file.data()),
              static_cast<std::streamsize>(file.size()));
  }
  const int fd = ::open(path.c_str(), O_RDONLY);
  ASSERT_GE(fd, 0);
  auto by_fd = litert::Model::CreateFromFd(env_, fd, 4, file.size());
  ASSERT_TRUE(by_fd) << by_fd.Error().Message();
  const auto beyond = litert::Model::CreateFromFd(fd, 4, file.size() + 1);
  ::close(fd);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.Error().StatusCC(), Status::kErrorFileIO);
  ASSERT_MAKE(const auto signatures, by_fd->GetSignatures());
  EXPECT_EQ(signatures.size(), 2u);
  EXPECT_FALSE(by_fd->Metadata("nothing"));
  ASSERT_MAKE(CompiledModel model,
              CompiledModel::Create(env_, *by_fd, HwAccelerators::kCpu));
  EXPECT_EQ(model.GetNumSignatures(), 2u);

  // The file begins with "head", so it is no model.
  const auto broken = CompiledModel::Create(env_, path, HwAccelerators::kCpu);
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.Error().StatusCC(), Status::kErrorInvalidFlatbuffer);
  const auto nowhere =
      CompiledModel::Create(env_, "/nowhere.tflite", HwAccelerators::kCpu);
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.Error().StatusCC(), Status::kErrorFileIO);
  std::ostringstream text;
  text << nowhere.Error();
  EXPECT_EQ(text.str().find("kErrorFileIO: "), 0u) << text.str();
}

TEST_F(Twin, AModelWithoutSignaturesHasThePlaceholder) {
  CompiledModel model = Compile(R"(graph main
input  x: float32[1]
y: float32[1] = NEG(x)
output y
)");
  const auto key = CompiledModel::DefaultSignatureKey();
  ASSERT_MAKE(const auto keys, model.GetSignatureKeys());
  EXPECT_THAT(keys, ElementsAre(key));
  ASSERT_MAKE(auto inputs, model.CreateInputBuffers(key));
  ASSERT_MAKE(auto outputs, model.CreateOutputBuffers());
  const float one[] = {1};
  ASSERT_OK(inputs[0].Write<float>(one));
  ASSERT_OK(model.Run(key, inputs, outputs));
  float found[1];
  ASSERT_OK(outputs[0].Read<float>(found));
  EXPECT_EQ(found[0], -1);
}

constexpr std::string_view kCounter = R"(graph main
input  step: float32[1]
h: resource[] = VAR_HANDLE() {container="" shared_name="count"}
= ASSIGN_VARIABLE(h, step)
output step
signature set(step=step) -> (same=step)
graph look
input  scale: float32[1]
h: resource[] = VAR_HANDLE() {container="" shared_name="count"}
now: float32[1] = READ_VARIABLE(h)
y: float32[1] = MUL(now, scale)
output y
signature look(scale=scale) -> (y=y)
)";

TEST_F(Twin, SignaturesShareTheirVariables) {
  CompiledModel model = Compile(kCounter);
  const auto call = [&](std::string_view key, float x) -> Expected<float> {
    LITERT_ASSIGN_OR_RETURN(auto inputs, model.CreateInputBuffers(key));
    LITERT_ASSIGN_OR_RETURN(auto outputs, model.CreateOutputBuffers(key));
    LITERT_RETURN_IF_ERROR(
        inputs[0].Write<float>(std::span<const float>(&x, 1)));
    LITERT_RETURN_IF_ERROR(model.Run(key, inputs, outputs)) << "run " << key;
    float y = 0;
    LITERT_RETURN_IF_ERROR(outputs[0].Read<float>(std::span(&y, 1)));
    return y;
  };
  const auto early = call("look", 2);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.Error().Message().find("run look: "), 0u)
      << early.Error().Message();
  ASSERT_OK(call("set", 21));
  ASSERT_MAKE(const float y, call("look", 2));
  EXPECT_EQ(y, 42);
}

TEST_F(Twin, TheCancellationFunctionEndsARun) {
  CompiledModel model = Compile(kAdd);
  ASSERT_MAKE(auto inputs, model.CreateInputBuffers());
  ASSERT_MAKE(auto outputs, model.CreateOutputBuffers());
  model.SetCancellationFunction([] { return true; });
  const auto cancelled = model.Run(inputs, outputs);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.Error().StatusCC(), Status::kCancelled);
  model.SetCancellationFunction(nullptr, nullptr);
  ASSERT_OK(model.Run(inputs, outputs));
}

TEST_F(Twin, StringsTravelInBuffers) {
  CompiledModel model = Compile(R"(graph main
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
  ASSERT_MAKE(auto inputs, model.CreateInputBuffers());
  ASSERT_MAKE(auto outputs, model.CreateOutputBuffers());
  const std::vector<std::string> a = {"long enough to need room", ""},
                                 b = {"x", "y"};
  ASSERT_MAKE(inputs[1], litert::util::CreateTensorBufferFromStrings(env_, a));
  ASSERT_MAKE(inputs[2], litert::util::CreateTensorBufferFromStrings(env_, b));
  for (const bool first : {true, false}) {
    ASSERT_OK(inputs[0].Write<bool>(std::span<const bool>(&first, 1)));
    ASSERT_OK(model.Run(inputs, outputs));
    ASSERT_MAKE(const auto found,
                litert::util::GetStringsFromTensorBuffer(outputs[0]));
    EXPECT_EQ(found, first ? a : b);
  }
}

TEST(TwinThreads, TwoThreadsMayRunOneModel) {
  LITERT_ASSIGN_OR_ABORT(auto env, Environment::Create({}));
  const std::vector<uint8_t> file = FileOf(kAdd);
  LITERT_ASSIGN_OR_ABORT(
      auto model,
      CompiledModel::Create(env, {file.data(), file.size()}, Options()));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      ASSERT_MAKE(auto inputs, model.CreateInputBuffers());
      ASSERT_MAKE(auto outputs, model.CreateOutputBuffers());
      const float values[] = {static_cast<float>(t), 1};
      for (TensorBuffer& input : inputs) {
        ASSERT_OK(input.Write<float>(values));
      }
      for (int run = 0; run < 20; ++run) {
        ASSERT_OK(model.Run(inputs, outputs));
        float sums[2];
        ASSERT_OK(outputs[0].Read<float>(sums));
        EXPECT_EQ(sums[0], static_cast<float>(2 * t));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(TwinExpected, HoldsAValueOrAnError) {
  Expected<int> number = 3;
  EXPECT_EQ(*number, 3);
  const Expected<int> bad = litert::Unexpected(Status::kErrorNotFound, "gone");
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.Error().Message(), "gone");
  EXPECT_DEATH((void)bad.Value(), "");
  const auto pass_on = [&]() -> Expected<std::string> {
    LITERT_ASSIGN_OR_RETURN(const int value, bad);
    return std::to_string(value);
  };
  EXPECT_EQ(pass_on().Error().StatusCC(), Status::kErrorNotFound);
  const auto plain = [&]() -> int {
    LITERT_ASSIGN_OR_RETURN(const int value, bad, -1);
    LITERT_RETURN_IF_ERROR(false, static_cast<int>(_.Get().StatusCC()));
    return value;
  };
  EXPECT_EQ(plain(), -1);
  const auto of_bool = [](bool fine) -> Expected<void> {
    LITERT_RETURN_IF_ERROR(fine) << "not " << 1;
    return {};
  };
  EXPECT_TRUE(of_bool(true));
  EXPECT_EQ(of_bool(false).Error().Message(), "not 1");
}

}  // namespace
}  // namespace lathe
