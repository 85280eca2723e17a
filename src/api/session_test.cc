// The contract of include/lathe/lathe.hpp: names, shapes, errors, sharing.

#include <atomic>
#include <fstream>
#include <optional>
#include <thread>

#include "gmock/gmock.h"
#include "src/api/test_support.h"

namespace lathe {
namespace {

using importer::ModelSize;
using importer::NameKeyedInput;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// Two signatures over one set of weights' names; "sum" has two inputs.
constexpr std::string_view kTwoSignatures = R"(graph main
input left: float32[2,3]
input right: float32[3]
count: float32[2,3] = ADD(left, right)
output count
signature sum(a=left, b=right) -> (total=count)
graph other
input x: float32[4]
y = NEG(x)
output y
signature negate(x=x) -> (y=y)
)";

// Rows may be resized; the sum of each stays.
constexpr std::string_view kRows = R"(graph main
input x: float32[2,3] resizable[-1,3]
const axis: int32[1] = 1
const w: float32[4,3] = 1 2 3 4 5 6 7 8 9 10 11 12
y = FULLY_CONNECTED(x, w, -)
s = SUM(y, axis)
output s
signature rows(x=x) -> (s=s)
)";

Model MustOpen(std::string_view text, const ModelOptions& options = {}) {
  auto model = OpenText(text, options);
  EXPECT_TRUE(model) << model.error().message;
  return *std::move(model);
}

Session MustCreate(const Model& model, const SessionOptions& options = {}) {
  auto session = Session::Create(model, options);
  EXPECT_TRUE(session) << session.error().message;
  return *std::move(session);
}

template <typename T>
void ExpectUsage(const Result<T>& result,
                 const testing::Matcher<std::string>& message) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kUsage);
  EXPECT_THAT(result.error().message, message);
}

// --- Names and types
// -----------------------------------------------------------

TEST(ModelTest, DescribesItsSignatures) {
  const Model model = MustOpen(kTwoSignatures);
  ASSERT_EQ(model.signatures().size(), 2u);
  const SignatureInfo& sum = model.signatures()[0];
  EXPECT_EQ(sum.key, "sum");
  ASSERT_EQ(sum.inputs.size(), 2u);
  EXPECT_EQ(sum.inputs[0].name, "a");
  EXPECT_EQ(sum.inputs[0].type, ElementType::kFloat32);
  EXPECT_THAT(sum.inputs[0].shape, ElementsAre(2, 3));
  EXPECT_EQ(sum.outputs[0].name, "total");
  EXPECT_EQ(model.signatures()[1].key, "negate");
}

TEST(ModelTest, WithoutSignaturesHasOneWithoutAKey) {
  const Model model = MustOpen(
      "graph main\ninput x: float32[2] resizable[-1]\ny = ABS(x)\noutput y\n");
  ASSERT_EQ(model.signatures().size(), 1u);
  EXPECT_EQ(model.signatures()[0].key, "");
  EXPECT_EQ(model.signatures()[0].inputs[0].name, "x");
  EXPECT_THAT(model.signatures()[0].inputs[0].shape_signature, ElementsAre(-1));
  EXPECT_EQ(model.signatures()[0].outputs[0].name, "y");
  Session session = MustCreate(model);
  Fill<float>(session, "x", {-3, 4});
  ASSERT_TRUE(session.Run());
  EXPECT_THAT(Read(session, "y"), ElementsAre(3, 4));
}

TEST(SessionTest, TakesTensorsByNameOrPosition) {
  Session session = MustCreate(MustOpen(kTwoSignatures));
  EXPECT_EQ(session.Input<float>("a")->data(),
            session.Input<float>("#0")->data());
  EXPECT_EQ(session.Input<float>("b")->data(),
            session.Input<float>("#1")->data());
  EXPECT_EQ(session.Output<float>("total")->data(),
            session.Output<float>("#0")->data());
  Fill<float>(session, "#0", {1, 2, 3, 4, 5, 6});
  Fill<float>(session, "b", {10, 20, 30});
  ASSERT_TRUE(session.Run());
  EXPECT_THAT(Read(session, "total"), ElementsAre(11, 22, 33, 14, 25, 36));
  // Kept between runs.
  ASSERT_TRUE(session.Run());
  EXPECT_THAT(Read(session, "#0"), ElementsAre(11, 22, 33, 14, 25, 36));
}

TEST(SessionTest, NamesWhatThereIsWhenATensorIsNot) {
  Session session = MustCreate(MustOpen(kTwoSignatures));
  for (const char* name :
       {"c", "", "#2", "#-1", "#", "#0x", "# 0", "#99999999999999999999999"}) {
    ExpectUsage(session.Input<float>(name),
                AllOf(HasSubstr(fmt::format("input \"{}\"", name)),
                      HasSubstr("\"a\" \"b\"")));
    ExpectUsage(session.InputBytes(name), HasSubstr("\"a\" \"b\""));
  }
  ExpectUsage(session.Output<float>("a"),
              AllOf(HasSubstr("output \"a\""), HasSubstr("\"total\"")));
  ExpectUsage(session.OutputBytes("b"), HasSubstr("\"total\""));
  const int32_t shape[] = {3};
  ExpectUsage(session.Resize("c", shape), HasSubstr("\"a\" \"b\""));
}

TEST(SessionTest, NamesTheTypesWhenAnotherIsAskedFor) {
  Session session = MustCreate(MustOpen(kTwoSignatures));
  ExpectUsage(
      session.Input<int32_t>("a"),
      AllOf(HasSubstr("\"a\""), HasSubstr("float32"), HasSubstr("int32")));
  ExpectUsage(session.Output<uint8_t>("total"),
              AllOf(HasSubstr("float32"), HasSubstr("uint8")));
  EXPECT_EQ(session.InputBytes("a")->size(), 24u);
  EXPECT_EQ(session.OutputBytes("total")->size(), 24u);
}

TEST(SessionTest, TakesASignatureByItsKey) {
  const Model model = MustOpen(kTwoSignatures);
  SessionOptions options;
  options.signature = "negate";
  Session session = MustCreate(model, options);
  Fill<float>(session, "x", {1, -2, 3, -4});
  ASSERT_TRUE(session.Run());
  EXPECT_THAT(Read(session, "y"), ElementsAre(-1, 2, -3, 4));
  options.signature = "product";
  ExpectUsage(Session::Create(model, options),
              AllOf(HasSubstr("\"product\""), HasSubstr("\"sum\" \"negate\"")));
}

TEST(SessionTest, TakesAnIsaByItsName) {
  const Model model = MustOpen(kTwoSignatures);
  SessionOptions options;
  for (const Isa isa : KnownIsas()) {
    options.isa = Name(isa);
    const auto session = Session::Create(model, options);
    if (CpuHas(isa)) {
      EXPECT_TRUE(session) << options.isa;
    } else {
      ASSERT_FALSE(session) << options.isa;
      EXPECT_EQ(session.error().code, ErrorCode::kUnsupported);
    }
  }
  options.isa = "vax";
  ExpectUsage(Session::Create(model, options),
              AllOf(HasSubstr("\"vax\""), HasSubstr("scalar")));
#if defined(__x86_64__)
  options.isa = "neon";  // Known, but of another architecture.
  const auto session = Session::Create(model, options);
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(session.error().message, HasSubstr("neon"));
#endif
}

TEST(SessionTest, RunsNoKernelAboveTheIsa) {
  const Model model = MustOpen(kRows);
  // Lowest first; a level may add no kernel of its own.
  std::vector<std::string> allowed;
  for (const std::string& isa : IsasHere()) {
    allowed.push_back(isa);
    SessionOptions options;
    options.isa = isa;
    const Session session = MustCreate(model, options);
    for (const StepInfo& step : session.steps()) {
      if (step.name != "FULLY_CONNECTED") continue;
      EXPECT_TRUE(std::ranges::any_of(allowed, [&](const std::string& one) {
        return step.kernel.ends_with("_" + one);
      })) << step.kernel;
    }
  }
}

TEST(SessionTest, TellsItsSteps) {
  const Session session = MustCreate(MustOpen(kRows));
  ASSERT_EQ(session.steps().size(), 2u);
  EXPECT_EQ(session.steps()[0].name, "FULLY_CONNECTED");
  EXPECT_EQ(session.steps()[0].tensor, "y");
  EXPECT_EQ(session.steps()[0].flops, 2u * 2 * 3 * 4);
  EXPECT_EQ(session.steps()[1].name, "SUM");
  EXPECT_LT(session.stats().peak_step, 2u);
  EXPECT_GE(session.stats().arena_bytes, 2u * 3 * 4 + 2 * 4 * 4);
}

TEST(SessionTest, GivesTheSameWithoutKeepingPackedWeights) {
  const Model model = MustOpen(kRows);
  const std::vector<float> x = {1, -2, 3, 0.5f, 5, 6};
  std::vector<std::vector<float>> results;
  for (const bool keep : {false, true}) {
    SessionOptions options;
    options.keep_packed = keep;
    Session session = MustCreate(model, options);
    EXPECT_EQ(session.stats().packed_bytes > 0, keep);
    for (int run = 0; run < 2; ++run) {
      ASSERT_TRUE(session.SetInput("x", std::as_bytes(std::span(x))));
      ASSERT_TRUE(session.Run());
      const auto s = session.Output<float>("s");
      ASSERT_TRUE(s) << s.error().message;
      results.emplace_back(s->begin(), s->end());
    }
  }
  EXPECT_THAT(results, testing::Each(results[0]));
}

TEST(SessionTest, RefusesToWriteAnInputThatIsAConstant) {
  Session session = MustCreate(MustOpen(
      "graph main\ninput x: float32[2] = 5 6\ny = NEG(x)\noutput y\n"));
  const auto input = session.Input<float>("x");
  ASSERT_FALSE(input);
  EXPECT_THAT(input.error().message, HasSubstr("\"x\""));
  ASSERT_TRUE(session.Run());
  EXPECT_THAT(Read(session, "y"), ElementsAre(-5, -6));
}

// --- Resizing
// ---------------------------------------------------------------------

TEST(SessionTest, ResizesADimThatMayChange) {
  Session session = MustCreate(MustOpen(kRows));
  const int32_t three[] = {3, 3};
  ASSERT_TRUE(session.Resize("x", three));
  EXPECT_THAT(session.inputs()[0].shape, ElementsAre(3, 3));
  EXPECT_THAT(session.outputs()[0].shape, ElementsAre(3));
  Fill<float>(session, "x", {1, 0, 0, 0, 1, 0, 0, 0, 1});
  ASSERT_TRUE(session.Run());
  EXPECT_THAT(Read(session, "s"), ElementsAre(22, 26, 30));
  // And back, by position.
  const int32_t two[] = {2, 3};
  ASSERT_TRUE(session.Resize("#0", two));
  Fill<float>(session, "x", {1, 0, 0, 0, 1, 0});
  ASSERT_TRUE(session.Run());
  EXPECT_THAT(Read(session, "s"), ElementsAre(22, 26));
}

TEST(SessionTest, ToItsOwnShapeChangesNothing) {
  Session session = MustCreate(MustOpen(kRows));
  Fill<float>(session, "x", {1, 2, 3, 4, 5, 6});
  const int32_t shape[] = {2, 3};
  ASSERT_TRUE(session.Resize("x", shape));
  ASSERT_TRUE(session.Run());
  EXPECT_THAT(Read(session, "s"), ElementsAre(164, 398));
}

TEST(SessionTest, RefusesOtherShapesAndStaysAsItWas) {
  Session session = MustCreate(MustOpen(kRows));
  Fill<float>(session, "x", {1, 2, 3, 4, 5, 6});
  const std::vector<std::vector<int32_t>> wrong = {
      {2, 4}, {2}, {}, {2, 3, 1}, {0, 3}, {-1, 3}, {-5, 3}, {3, 2}};
  for (const std::vector<int32_t>& shape : wrong) {
    SCOPED_TRACE(graph::ToString(shape));
    const Status status = session.Resize("x", shape);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidInput);
    EXPECT_THAT(status.error().message,
                AllOf(HasSubstr("\"x\""), HasSubstr(graph::ToString(shape)),
                      HasSubstr("[-1,3]")));
    EXPECT_THAT(session.inputs()[0].shape, ElementsAre(2, 3));
    ASSERT_TRUE(session.Run());
    EXPECT_THAT(Read(session, "s"), ElementsAre(164, 398));
  }
  Session fixed = MustCreate(MustOpen(kTwoSignatures));
  const int32_t shape[] = {3, 3};
  const Status status = fixed.Resize("a", shape);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("nothing may change"));
}

TEST(SessionTest, StaysAsItWasWhenShapesInsideNoLongerFit) {
  // The sum of rows and a column of two fits no third row.
  Session session = MustCreate(MustOpen(R"(graph main
input x: float32[2,3] resizable[-1,3]
const c: float32[2,1] = 10 20
y = ADD(x, c)
output y
)"));
  Fill<float>(session, "x", {1, 2, 3, 4, 5, 6});
  const int32_t three[] = {3, 3};
  const Status status = session.Resize("x", three);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("ADD"));
  EXPECT_THAT(session.inputs()[0].shape, ElementsAre(2, 3));
  ASSERT_TRUE(session.Run());
  EXPECT_THAT(Read(session, "y"), ElementsAre(11, 12, 13, 24, 25, 26));
}

TEST(SessionTest, StaysAsItWasWhenMemoryWouldNotDo) {
  ModelOptions options;
  options.memory_limit_bytes = 10000;
  Session session = MustCreate(MustOpen(kRows, options));
  Fill<float>(session, "x", {1, 2, 3, 4, 5, 6});
  const int32_t many[] = {2000, 3};
  const Status status = session.Resize("x", many);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(status.error().message,
              AllOf(HasSubstr("\"x\""), HasSubstr("10000")));
  ASSERT_TRUE(session.Run());
  EXPECT_THAT(Read(session, "s"), ElementsAre(164, 398));
}

// Resizing must give what a model of that length gives, whatever was before.
TEST(SessionTest, OfADecoderGivesAnyLengthWhatAFreshSessionGives) {
  const auto model = OpenGraph(AuthorNameKeyed(ModelSize::kTiny).decoder);
  ASSERT_TRUE(model) << model.error().message;
  Session walked = MustCreate(*model);
  for (const int32_t frames : {16, 3, 1, 20, 7, 16}) {
    const int32_t shape[] = {1, 8, frames};
    Session fresh = MustCreate(*model);
    ASSERT_TRUE(walked.Resize("latent", shape));
    ASSERT_TRUE(fresh.Resize("latent", shape));
    const auto latent = NameKeyedInput("z", 8 * static_cast<size_t>(frames));
    Fill(walked, "latent", latent);
    Fill(fresh, "latent", latent);
    ASSERT_TRUE(walked.Run());
    ASSERT_TRUE(fresh.Run());
    EXPECT_EQ(Read(walked, "audio").size(),
              2 * 2048 * static_cast<size_t>(frames));
    EXPECT_EQ(AllOutputs(walked), AllOutputs(fresh)) << frames;
  }
}

TEST(SessionTest, OfADecoderSeesOnlyItsReach) {
  // 10 frames on each side decide: the first 5 of 16 and of 20 are equal, as
  // long as the latents are.
  const auto model = OpenGraph(AuthorNameKeyed(ModelSize::kTiny).decoder);
  ASSERT_TRUE(model) << model.error().message;
  const auto decode = [&](int32_t frames) {
    Session session = MustCreate(*model);
    const int32_t shape[] = {1, 8, frames};
    EXPECT_TRUE(session.Resize("latent", shape));
    const auto all = NameKeyedInput("z", 8 * 20);
    std::vector<float> latent;
    for (int32_t c = 0; c < 8; ++c) {
      for (int32_t i = 0; i < frames; ++i) {
        latent.push_back(all[static_cast<size_t>(c * 20 + i)]);
      }
    }
    Fill(session, "latent", latent);
    EXPECT_TRUE(session.Run());
    return Read(session, "audio");
  };
  const auto longer = decode(20), shorter = decode(16);
  for (size_t i = 0; i < 5 * 2048; ++i) {
    ASSERT_NEAR(longer[i], shorter[i], 2e-6) << i;
  }
}

// --- Running
// ----------------------------------------------------------------------

TEST(SessionTest, GivesTheSameBitsEachTime) {
  const importer::StableAudioGraphs graphs = AuthorNameKeyed(ModelSize::kTiny);
  for (const graph::Graph* graph : {&graphs.conditioner, &graphs.dit}) {
    const auto model = OpenGraph(*graph);
    ASSERT_TRUE(model) << model.error().message;
    Session session = MustCreate(*model);
    FillAll(session, 1);
    ASSERT_TRUE(session.Run());
    const std::string first = AllOutputs(session);
    // Another run in between leaves the memory otherwise.
    FillAll(session, 2);
    ASSERT_TRUE(session.Run());
    EXPECT_NE(AllOutputs(session), first);
    FillAll(session, 1);
    ASSERT_TRUE(session.Run());
    EXPECT_EQ(AllOutputs(session), first);
  }
}

TEST(SessionTest, ReportsEveryStepInOrder) {
  const auto model = OpenGraph(AuthorNameKeyed(ModelSize::kTiny).dit);
  ASSERT_TRUE(model) << model.error().message;
  std::vector<size_t> steps;
  std::set<std::thread::id> threads;
  SessionOptions options;
  options.on_step = [&](size_t step, double milliseconds) {
    steps.push_back(step);
    threads.insert(std::this_thread::get_id());
    EXPECT_GE(milliseconds, 0);
  };
  Session session = MustCreate(*model, options);
  ASSERT_TRUE(session.Run());
  ASSERT_EQ(steps.size(), session.steps().size());
  for (size_t i = 0; i < steps.size(); ++i) EXPECT_EQ(steps[i], i);
  EXPECT_EQ(threads, std::set{std::this_thread::get_id()});
}

TEST(SessionTest, EndsEarlyWhenStopped) {
  const auto model = OpenGraph(AuthorNameKeyed(ModelSize::kTiny).decoder);
  ASSERT_TRUE(model) << model.error().message;
  std::atomic<bool> stop = true;
  size_t steps = 0, stop_at = 3;
  SessionOptions options;
  options.stop = &stop;
  options.on_step = [&](size_t step, double) {
    ++steps;
    if (step + 1 == stop_at) stop = true;
  };
  Session session = MustCreate(*model, options);
  FillAll(session, 1);
  Status status = session.Run();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInterrupted);
  EXPECT_EQ(steps, 0u);
  // In the middle, and behind the last step.
  for (const size_t at : {size_t{3}, session.steps().size()}) {
    stop = false;
    steps = 0;
    stop_at = at;
    status = session.Run();
    ASSERT_FALSE(status) << at;
    EXPECT_EQ(status.error().code, ErrorCode::kInterrupted);
    EXPECT_EQ(steps, at);
  }
  // It can be used again.
  stop = false;
  stop_at = 0;
  ASSERT_TRUE(session.Run());
  Session other = MustCreate(*model);
  FillAll(other, 1);
  ASSERT_TRUE(other.Run());
  EXPECT_EQ(AllOutputs(session), AllOutputs(other));
}

TEST(SessionTest, SaysWhichValueIsWrongAndInWhichStep) {
  Session session = MustCreate(MustOpen(R"(graph main
input i: int32[2]
const table: float32[3,2] = 1 2 3 4 5 6
y = GATHER(table, i)
output y
)"));
  Fill<int32_t>(session, "i", {0, 3});
  const Status status = session.Run();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(status.error().message,
              AllOf(HasSubstr("step 0 GATHER"), HasSubstr("index 1 is 3"),
                    HasSubstr("0 to 2")));
  Fill<int32_t>(session, "i", {2, 0});
  ASSERT_TRUE(session.Run());
  EXPECT_THAT(Read(session, "y"), ElementsAre(5, 6, 1, 2));
}

TEST(SessionTest, TakesAPassListThatChangesNoValue) {
  const importer::StableAudioGraphs graphs = AuthorNameKeyed(ModelSize::kTiny);
  ModelOptions plain;
  plain.skip_passes = {"mark_snake",  "mark_layer_norm", "mark_rms_norm",
                       "mark_rotary", "mark_attention",  "mark_gated_silu",
                       "mark_silu"};
  for (const graph::Graph* graph :
       {&graphs.conditioner, &graphs.dit, &graphs.decoder, &graphs.encoder}) {
    const auto fused = OpenGraph(*graph), unfused = OpenGraph(*graph, plain);
    ASSERT_TRUE(fused && unfused);
    Session a = MustCreate(*fused), b = MustCreate(*unfused);
    EXPECT_LT(a.steps().size(), b.steps().size());
    FillAll(a, 3);
    FillAll(b, 3);
    ASSERT_TRUE(a.Run());
    ASSERT_TRUE(b.Run());
    for (const TensorInfo& output : a.outputs()) {
      const auto x = Read(a, output.name), y = Read(b, output.name);
      ASSERT_EQ(x.size(), y.size());
      float largest = 1;
      for (const float v : y) largest = std::max(largest, std::abs(v));
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_NEAR(x[i], y[i], 2e-5 * largest) << output.name << " " << i;
      }
    }
  }
}

TEST(ModelTest, NamesThePassesWhenOneIsUnknown) {
  ModelOptions options;
  options.skip_passes = {"mark_everything"};
  ExpectUsage(OpenText(kRows, options),
              AllOf(HasSubstr("\"mark_everything\""), HasSubstr("mark_silu")));
}

// --- Memory
// -------------------------------------------------------------------------

TEST(SessionTest, NamesTheTensorThatPassesTheMemoryLimit) {
  ModelOptions options;
  options.memory_limit_bytes = 1000;
  const auto session = Session::Create(MustOpen(R"(graph main
input x: float32[10]
const s: int32[2] = 100 10
small = NEG(x)
wide = BROADCAST_TO(small, s)
output wide
)",
                                                options));
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(
      session.error().message,
      AllOf(HasSubstr("\"wide\""), HasSubstr("4000"), HasSubstr("1000")));
}

TEST(SessionTest, SharesPackedWeightsWithTheOthersOfItsModel) {
  const auto model = OpenGraph(AuthorNameKeyed(ModelSize::kTiny).dit);
  ASSERT_TRUE(model) << model.error().message;
  std::optional<Session> first = MustCreate(*model);
  const uint64_t packed = first->stats().packed_bytes;
  // Two layers of 20 e^2 weights, e = 256.
  EXPECT_GE(packed, uint64_t{2} * 20 * 256 * 256 * 4);
  const Session second = MustCreate(*model);
  EXPECT_EQ(second.stats().packed_bytes, packed);
  // A copy of the model is the same model.
  const Model copy = *model;
  const Session third = MustCreate(copy);
  EXPECT_EQ(third.stats().packed_bytes, packed);
  first.reset();
  EXPECT_EQ(second.stats().packed_bytes, packed);
}

TEST(SessionTest, PacksAgainForAnotherIsa) {
  const std::vector<std::string> isas = IsasHere();
  if (isas.size() < 2) GTEST_SKIP() << "one level only";
  const Model model = MustOpen(kRows);
  SessionOptions options;
  options.isa = isas[0];
  const Session scalar = MustCreate(model, options);
  const uint64_t packed = scalar.stats().packed_bytes;
  options.isa = isas[1];
  const Session other = MustCreate(model, options);
  EXPECT_GT(other.stats().packed_bytes, packed);
}

TEST(SessionTest, KeepsItsModelAlive) {
  std::optional<Session> session;
  {
    const auto model = OpenGraph(AuthorNameKeyed(ModelSize::kTiny).conditioner);
    ASSERT_TRUE(model) << model.error().message;
    session = MustCreate(*model);
  }
  FillAll(*session, 1);
  ASSERT_TRUE(session->Run());
}

TEST(SessionTest, KeepsItsFileAliveWhenItsNameIsGone) {
  const TempFolder folder;
  const std::string path = folder / "model.tflite";
  ASSERT_TRUE(
      format::WriteTflite(AuthorNameKeyed(ModelSize::kTiny).conditioner, path));
  std::optional<Model> model = *Model::Open(path);
  std::optional<Session> session = MustCreate(*model);
  model.reset();
  std::filesystem::remove(path);
  FillAll(*session, 1);
  ASSERT_TRUE(session->Run());
}

TEST(SessionTest, KeepsItsPoolAlive) {
  std::optional<Session> session;
  {
    Threads threads(3);
    SessionOptions options;
    options.threads = &threads;
    session = MustCreate(MustOpen(kRows), options);
  }
  Fill<float>(*session, "x", {1, 2, 3, 4, 5, 6});
  ASSERT_TRUE(session->Run());
  EXPECT_THAT(Read(*session, "s"), ElementsAre(164, 398));
}

TEST(SessionTest, CanBeMoved) {
  Session a = MustCreate(MustOpen(kRows));
  Fill<float>(a, "x", {1, 2, 3, 4, 5, 6});
  Session b = std::move(a);
  ASSERT_TRUE(b.Run());
  EXPECT_THAT(Read(b, "s"), ElementsAre(164, 398));
  Session c = MustCreate(MustOpen(kTwoSignatures));
  c = std::move(b);
  EXPECT_EQ(c.inputs()[0].name, "x");
  EXPECT_THAT(Read(c, "s"), ElementsAre(164, 398));
  const int32_t one[] = {1, 3};
  ASSERT_TRUE(c.Resize("x", one));
  Fill<float>(c, "x", {1, 2, 3});
  ASSERT_TRUE(c.Run());
  EXPECT_THAT(Read(c, "s"), ElementsAre(164));
}

// --- Several threads
// ------------------------------------------------------------------

TEST(SessionTest, OfOneModelRunFromSeveralThreadsAtOnce) {
  const auto model = OpenGraph(AuthorNameKeyed(ModelSize::kTiny).conditioner);
  ASSERT_TRUE(model) << model.error().message;
  Session alone = MustCreate(*model);
  std::vector<std::string> want;
  for (uint32_t seed = 0; seed < 4; ++seed) {
    FillAll(alone, seed);
    ASSERT_TRUE(alone.Run());
    want.push_back(AllOutputs(alone));
  }
  // One pool for all, and a pool for each; sessions are made meanwhile, too.
  Threads shared(3);
  for (const bool share : {true, false}) {
    std::vector<std::string> got(4);
    std::vector<std::thread> threads;
    for (uint32_t seed = 0; seed < 4; ++seed) {
      threads.emplace_back([&, seed] {
        Threads own(2);
        SessionOptions options;
        options.threads = share ? &shared : &own;
        for (int round = 0; round < 3; ++round) {
          auto session = Session::Create(*model, options);
          if (!session) return;
          FillAll(*session, seed);
          for (int run = 0; run < 3; ++run) {
            if (!session->Run()) return;
          }
          got[seed] = AllOutputs(*session);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(got, want) << (share ? "one pool" : "a pool each");
  }
}

TEST(ModelTest, HashesTheSameFromSeveralThreads) {
  const Model model = MustOpen(kRows);
  std::vector<uint64_t> hashes(4);
  std::vector<std::thread> threads;
  for (uint64_t& hash : hashes) {
    threads.emplace_back([&] { hash = *model.ContentHash(); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(hashes, testing::Each(hashes[0]));
  EXPECT_NE(hashes[0], *MustOpen(kTwoSignatures).ContentHash());
  EXPECT_EQ(hashes[0], *MustOpen(kRows).ContentHash());
}

TEST(ThreadsTest, CountTheCallerAndShareOnCopying) {
  EXPECT_EQ(Threads(1).count(), 1);
  EXPECT_EQ(Threads(3).count(), 3);
  EXPECT_EQ(Threads(0).count(), UsableCores());
  const Threads a(2);
  const Threads b = a;
  EXPECT_EQ(a.state(), b.state());
}

// --- Files
// ------------------------------------------------------------------------------

TEST(ModelTest, NamesThePathOfWhatIsNoModel) {
  const TempFolder folder;
  const auto write = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(folder / name, std::ios::binary) << bytes;
    return folder / name;
  };
  const std::string cases[] = {
      folder / "missing.tflite",
      folder.path(),
      write("empty.tflite", ""),
      write("short.tflite", "TFL3"),
      write("text.tflite", "this is no model, only some text about models"),
      write("zeros.tflite", std::string(1000, '\0')),
      write("ones.tflite", std::string(1000, '\xFF')),
  };
  for (const std::string& path : cases) {
    const auto model = Model::Open(path);
    ASSERT_FALSE(model) << path;
    EXPECT_EQ(model.error().code, ErrorCode::kInvalidInput) << path;
    EXPECT_THAT(model.error().message, HasSubstr(path));
  }
}

TEST(ModelTest, NamesThePathOfAFileThatIsCutShort) {
  const TempFolder folder;
  const auto bytes = format::WriteTfliteToMemory(
      AuthorNameKeyed(ModelSize::kTiny).conditioner);
  ASSERT_TRUE(bytes) << bytes.error().message;
  const std::string path = folder / "cut.tflite";
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes->data()),
             static_cast<std::streamsize>(bytes->size()));
  ASSERT_TRUE(Model::Open(path));
  size_t kept = bytes->size();
  for (const size_t cut :
       {size_t{1}, size_t{16}, bytes->size() / 3, bytes->size() / 2,
        bytes->size() - 100, bytes->size() - 8, bytes->size() - 1}) {
    kept = std::min(kept, bytes->size() - cut);
    std::filesystem::resize_file(path, kept);
    const auto model = Model::Open(path);
    ASSERT_FALSE(model) << kept << " of " << bytes->size() << " bytes";
    EXPECT_EQ(model.error().code, ErrorCode::kInvalidInput);
    EXPECT_THAT(model.error().message, HasSubstr(path));
  }
}

TEST(ModelTest, NamesAllOperatorsThatCannotRun) {
  const auto model = OpenText(R"(graph main
input x: float32[1,4,4,2]
a: int32[1,4,4,2] = CAST(x)
c: int32[1,4,4,2] = EXP(a)
b: float32[1,4,4,2] = CUSTOM MyOp(c)
output b
)");
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(model.error().message,
              AllOf(HasSubstr("2 operators"), HasSubstr("EXP"),
                    HasSubstr("MyOp"), HasSubstr("\"b\"")));
}

}  // namespace
}  // namespace lathe
