// Control flow, variables, run-time shapes, strings and concurrent sessions,
// each on a small model that goes the whole way through the file format.

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "src/api/test_support.h"

namespace lathe {
namespace {

Session MakeSession(const Model& model, SessionOptions options = {}) {
  static Threads one(1);
  if (options.threads == nullptr) options.threads = &one;
  auto session = Session::Create(model, options);
  EXPECT_TRUE(session) << session.error().message;
  if (!session) std::abort();
  return *std::move(session);
}

Model MakeModel(std::string_view text, const ModelOptions& options = {}) {
  auto model = OpenText(text, options);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) std::abort();
  return *std::move(model);
}

std::vector<float> RunOn(Session& session,
                         const std::vector<std::vector<float>>& inputs,
                         std::string_view output = "#0") {
  for (size_t i = 0; i < inputs.size(); ++i) {
    Fill<float>(session, "#" + std::to_string(i), inputs[i]);
  }
  const Status status = session.Run();
  EXPECT_TRUE(status) << status.error().message;
  return Read<float>(session, output);
}

// x > 0 ? -x : [x, x].
constexpr std::string_view kIf = R"(graph main
input  x: float32[1]
const  zero: float32[1] = 0
positive: bool[1] = GREATER(x, zero)
y: float32[1] = IF(positive, x) {then_subgraph_index=1 else_subgraph_index=2}
z: float32[1] = ABS(y)
output y
output z
graph then
input  x: float32[1]
y: float32[1] = NEG(x)
output y
graph else
input  x: float32[1]
y: float32[2] = CONCATENATION(x, x) {axis=0}
output y
)";

TEST(If, TakesTheBranchOfEachRunAndItsShape) {
  Session session = MakeSession(MakeModel(kIf));
  EXPECT_EQ(RunOn(session, {{3}}), (std::vector<float>{-3}));
  EXPECT_EQ(session.outputs()[1].shape, (std::vector<int32_t>{1}));
  EXPECT_EQ(RunOn(session, {{-3}}), (std::vector<float>{-3, -3}));
  EXPECT_EQ(session.outputs()[0].shape, (std::vector<int32_t>{2}));
  EXPECT_EQ(Read(session, "z"), (std::vector<float>{3, 3}));
  EXPECT_EQ(RunOn(session, {{5}}), (std::vector<float>{-5}));
  EXPECT_EQ(Read(session, "z"), (std::vector<float>{5}));
}

// 400 kB in the graph and 400 kB in the branch.
constexpr std::string_view kTwoArenas = R"(graph main
input  x: float32[1]
const  many: int32[1] = 100000
const  zero: float32[1] = 0
const  axis: int32[1] = 0
wide = BROADCAST_TO(x, many)
y = SUM(wide, axis) {keep_dims=true}
up: bool[1] = GREATER(x, zero)
z: float32[1] = IF(up, y) {then_subgraph_index=1 else_subgraph_index=2}
output z
graph then
input  x: float32[1]
const  many: int32[1] = 100000
const  axis: int32[1] = 0
wide = BROADCAST_TO(x, many)
y: float32[1] = SUM(wide, axis) {keep_dims=true}
output y
graph else
input  x: float32[1]
output x
)";

TEST(MemoryLimit, CountsTheArenasOfWhatIsCalled) {
  for (const uint64_t limit : {700'000u, 900'000u}) {
    ModelOptions options;
    options.memory_limit_bytes = limit;
    Session session = MakeSession(MakeModel(kTwoArenas, options));
    for (const float x : {-1.0f, 1.0f, -1.0f}) {
      Fill<float>(session, "x", {x});
      const Status status = session.Run();
      EXPECT_EQ(status.has_value(), x < 0 || limit > 800'000) << limit;
      if (status) continue;
      EXPECT_EQ(status.error().code, ErrorCode::kInvalidInput);
      EXPECT_NE(status.error().message.find("limit"), std::string::npos)
          << status.error().message;
    }
  }
}

// (a, b) from (b, a + b) while a < limit.
constexpr std::string_view kFibonacci = R"(graph main
input  a: float32[1]
input  b: float32[1]
p: float32[1], q: float32[1] = WHILE(a, b) {cond_subgraph_index=1 body_subgraph_index=2}
output p
output q
graph cond
input  a: float32[1]
input  b: float32[1]
const  limit: float32[1] = 100
more: bool[1] = LESS(a, limit)
output more
graph body
input  a: float32[1]
input  b: float32[1]
sum: float32[1] = ADD(a, b)
output b
output sum
)";

TEST(While, FeedsWhatTheBodyReturnsBackToItsInputs) {
  Session session = MakeSession(MakeModel(kFibonacci));
  for (int run = 0; run < 3; ++run) {
    EXPECT_EQ(RunOn(session, {{1}, {1}}), (std::vector<float>{144}));
    EXPECT_EQ(Read(session, "q"), (std::vector<float>{233}));
  }
}

TEST(While, NoRoundGivesItsInputs) {
  Session session = MakeSession(MakeModel(kFibonacci));
  EXPECT_EQ(RunOn(session, {{100}, {7}}), (std::vector<float>{100}));
  EXPECT_EQ(Read(session, "q"), (std::vector<float>{7}));
}

// A body that gives its inputs back in the other order.
constexpr std::string_view kSwap = R"(graph main
input  n: float32[1]
input  a: float32[2]
input  b: float32[2]
m: float32[1], p: float32[2], q: float32[2] = WHILE(n, a, b) {cond_subgraph_index=1 body_subgraph_index=2}
output p
output q
graph cond
input  n: float32[1]
input  a: float32[2]
input  b: float32[2]
const  zero: float32[1] = 0
more: bool[1] = GREATER(n, zero)
output more
graph body
input  n: float32[1]
input  a: float32[2]
input  b: float32[2]
const  one: float32[1] = 1
less: float32[1] = SUB(n, one)
output less
output b
output a
)";

TEST(While, ABodyMaySwapItsInputs) {
  Session session = MakeSession(MakeModel(kSwap));
  EXPECT_EQ(RunOn(session, {{3}, {1, 2}, {3, 4}}), (std::vector<float>{3, 4}));
  EXPECT_EQ(Read(session, "#1"), (std::vector<float>{1, 2}));
  EXPECT_EQ(RunOn(session, {{4}, {1, 2}, {3, 4}}), (std::vector<float>{1, 2}));
  EXPECT_EQ(Read(session, "#1"), (std::vector<float>{3, 4}));
}

// a, b, c from b, b, c, which the condition does not read.
constexpr std::string_view kTwice = R"(graph main
input  n: float32[1]
input  a: float32[2]
input  b: float32[2]
input  c: float32[2]
m: float32[1], p: float32[2], q: float32[2], r: float32[2] = WHILE(n, a, b, c) {cond_subgraph_index=1 body_subgraph_index=2}
output p
output q
output r
graph cond
input  n: float32[1]
input  a: float32[2]
input  b: float32[2]
input  c: float32[2]
const  zero: float32[1] = 0
more: bool[1] = GREATER(n, zero)
output more
graph body
input  n: float32[1]
input  a: float32[2]
input  b: float32[2]
input  c: float32[2]
const  one: float32[1] = 1
less: float32[1] = SUB(n, one)
sum: float32[2] = ADD(a, b)
output less
output b
output sum
output c
)";

TEST(While, ABodyMayHandOnSomeInputsAndReplaceOthers) {
  Session session = MakeSession(MakeModel(kTwice));
  for (int run = 0; run < 2; ++run) {
    EXPECT_EQ(RunOn(session, {{4}, {1, 2}, {1, 3}, {8, 9}}),
              (std::vector<float>{5, 13}));
    EXPECT_EQ(Read(session, "#1"), (std::vector<float>{8, 21}));
    EXPECT_EQ(Read(session, "#2"), (std::vector<float>{8, 9}));
  }
}

// x becomes [x, x] while it is not the limit's length: n counts down.
constexpr std::string_view kGrow = R"(graph main
input  n: float32[1]
input  x: float32[1]
m: float32[1], y: float32[1] = WHILE(n, x) {cond_subgraph_index=1 body_subgraph_index=2}
z: float32[1] = NEG(y)
output z
graph cond
input  n: float32[1]
input  x: float32[1]
const  zero: float32[1] = 0
more: bool[1] = GREATER(n, zero)
output more
graph body
input  n: float32[1]
input  x: float32[1]
const  one: float32[1] = 1
less: float32[1] = SUB(n, one)
twice: float32[2] = CONCATENATION(x, x) {axis=0}
output less
output twice
)";

TEST(While, ShapesMayChangeFromRoundToRound) {
  Session session = MakeSession(MakeModel(kGrow));
  EXPECT_EQ(RunOn(session, {{3}, {7}}), std::vector<float>(8, -7));
  EXPECT_EQ(session.outputs()[0].shape, (std::vector<int32_t>{8}));
  EXPECT_EQ(RunOn(session, {{0}, {7}}), std::vector<float>(1, -7));
  EXPECT_EQ(RunOn(session, {{5}, {2}}), std::vector<float>(32, -2));
}

TEST(While, GrowthEndsAtTheMemoryLimit) {
  ModelOptions options;
  options.memory_limit_bytes = 1 << 20;
  Session session = MakeSession(MakeModel(kGrow, options));
  Fill<float>(session, "n", {1000});
  const Status status = session.Run();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidInput);
  EXPECT_NE(status.error().message.find("limit"), std::string::npos)
      << status.error().message;
  // The session goes on with values that fit.
  EXPECT_EQ(RunOn(session, {{2}, {3}}), std::vector<float>(4, -3));
}

// For i from n down to 1, for j from i down to 1: x += 1.
constexpr std::string_view kNested = R"(graph main
input  n: float32[1]
input  x: float32[1]
m: float32[1], y: float32[1] = WHILE(n, x) {cond_subgraph_index=1 body_subgraph_index=2}
output y
graph cond
input  n: float32[1]
input  x: float32[1]
const  zero: float32[1] = 0
more: bool[1] = GREATER(n, zero)
output more
graph outer
input  n: float32[1]
input  x: float32[1]
const  one: float32[1] = 1
j: float32[1], sum: float32[1] = WHILE(n, x) {cond_subgraph_index=1 body_subgraph_index=3}
less: float32[1] = SUB(n, one)
output less
output sum
graph inner
input  n: float32[1]
input  x: float32[1]
const  one: float32[1] = 1
less: float32[1] = SUB(n, one)
more: float32[1] = ADD(x, one)
output less
output more
)";

TEST(While, LoopsNest) {
  Session session = MakeSession(MakeModel(kNested));
  EXPECT_EQ(RunOn(session, {{4}, {0}}), (std::vector<float>{10}));
  EXPECT_EQ(RunOn(session, {{10}, {100}}), (std::vector<float>{155}));
}

constexpr std::string_view kForever = R"(graph main
input  x: float32[1]
y: float32[1] = WHILE(x) {cond_subgraph_index=1 body_subgraph_index=2}
output y
graph cond
input  x: float32[1]
more: bool[1] = EQUAL(x, x)
output more
graph body
input  x: float32[1]
y: float32[1] = NEG(x)
output y
)";

TEST(While, TheStopTokenEndsIt) {
  std::atomic<bool> stop = false;
  SessionOptions options;
  options.stop = &stop;
  Session session = MakeSession(MakeModel(kForever), options);
  Fill<float>(session, "x", {1});
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    stop = true;
  });
  const Status status = session.Run();
  later.join();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInterrupted);
}

constexpr std::string_view kCase = R"(graph main
input  which: int32[]
input  x: float32[1]
y: float32[1] = STABLEHLO_CASE(which, x) {branch_subgraph_indices=[1,2,3]}
output y
graph negate
input  x: float32[1]
y: float32[1] = NEG(x)
output y
graph square
input  x: float32[1]
y: float32[1] = MUL(x, x)
output y
graph keep
input  x: float32[1]
output x
)";

TEST(Case, TakesTheBranchAndTheLastOutOfRange) {
  Session session = MakeSession(MakeModel(kCase));
  for (const auto& [which, expected] :
       {std::pair{0, -3.0f}, {1, 9.0f}, {2, 3.0f}, {3, 3.0f}, {-1, 3.0f}}) {
    Fill<int32_t>(session, "which", {which});
    Fill<float>(session, "x", {3});
    ASSERT_TRUE(session.Run());
    EXPECT_EQ(Read(session, "y"), (std::vector<float>{expected})) << which;
  }
}

constexpr std::string_view kComposite = R"(graph main
input  x: float32[2]
y: float32[2] = STABLEHLO_COMPOSITE(x) {name="test.softsign" decomposition_subgraph_index=1}
z: float32[2] = NEG(y)
output z
graph softsign
input  x: float32[2]
const  one: float32[1] = 1
size: float32[2] = ABS(x)
under: float32[2] = ADD(size, one)
y: float32[2] = DIV(x, under)
output y
)";

TEST(Composite, RunsItsDecomposition) {
  Session session = MakeSession(MakeModel(kComposite));
  EXPECT_EQ(RunOn(session, {{1, -3}}), (std::vector<float>{-0.5f, 0.75f}));
}

// Counts its runs: the variable starts at 10 by CALL_ONCE.
constexpr std::string_view kCounter = R"(graph main
input  step: float32[1]
= CALL_ONCE() {init_subgraph_index=1}
h: resource[] = VAR_HANDLE() {container="" shared_name="count"}
old: float32[1] = READ_VARIABLE(h)
new: float32[1] = ADD(old, step)
= ASSIGN_VARIABLE(h, new)
output new
signature count(step=step) -> (new=new)
graph init
const  start: float32[1] = 10
h: resource[] = VAR_HANDLE() {container="" shared_name="count"}
= ASSIGN_VARIABLE(h, start)
graph look
input  scale: float32[1]
h: resource[] = VAR_HANDLE() {container="" shared_name="count"}
now: float32[1] = READ_VARIABLE(h)
y: float32[1] = MUL(now, scale)
output y
signature look(scale=scale) -> (y=y)
)";

TEST(Variables, KeepTheirValueOverRunsAndBelongToTheSession) {
  const Model model = MakeModel(kCounter);
  SessionOptions count;
  count.signature = "count";
  Session one = MakeSession(model, count), other = MakeSession(model, count);
  EXPECT_EQ(RunOn(one, {{1}}), (std::vector<float>{11}));
  EXPECT_EQ(RunOn(one, {{2}}), (std::vector<float>{13}));
  EXPECT_EQ(RunOn(other, {{5}}), (std::vector<float>{15}));
  EXPECT_EQ(RunOn(one, {{1}}), (std::vector<float>{14}));
  ASSERT_TRUE(one.ResetState());
  EXPECT_EQ(RunOn(one, {{1}}), (std::vector<float>{11}));
  EXPECT_EQ(RunOn(other, {{1}}), (std::vector<float>{16}));
}

TEST(Variables, AreReadByASessionThatSharesThem) {
  const Model model = MakeModel(kCounter);
  SessionOptions count, look;
  count.signature = "count";
  look.signature = "look";
  Session counter = MakeSession(model, count);
  {
    Session alone = MakeSession(model, look);
    Fill<float>(alone, "scale", {2});
    const Status status = alone.Run();
    ASSERT_FALSE(status);  // Nobody has assigned it.
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidInput);
  }
  look.resources_of = &counter;
  Session looker = MakeSession(model, look);
  EXPECT_EQ(RunOn(counter, {{1}}), (std::vector<float>{11}));
  EXPECT_EQ(RunOn(looker, {{2}}), (std::vector<float>{22}));
  EXPECT_EQ(RunOn(counter, {{1}}), (std::vector<float>{12}));
  EXPECT_EQ(RunOn(looker, {{2}}), (std::vector<float>{24}));

  const Model another = MakeModel(kCounter);
  const auto refused = Session::Create(another, look);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
}

TEST(Signatures, EachIsASessionOfItsOwnAndUnknownOnesAreNamed) {
  const Model model = MakeModel(kCounter);
  ASSERT_EQ(model.signatures().size(), 2u);
  SessionOptions options;
  options.signature = "nothing";
  const auto session = Session::Create(model, options);
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, ErrorCode::kUsage);
  EXPECT_NE(session.error().message.find("\"count\" \"look\""),
            std::string::npos)
      << session.error().message;
}

// The shape is worked out while the model runs.
constexpr std::string_view kReshape = R"(graph main
input  x: float32[6]
input  rows: int32[1]
const  six: int32[1] = 6
columns: int32[1] = DIV(six, rows)
shape: int32[2] = CONCATENATION(rows, columns) {axis=0}
y: float32[2,3] = RESHAPE(x, shape)
z: float32[2,3] = NEG(y)
output z
)";

TEST(RunTimeShapes, FollowTheValuesOfEachRun) {
  Session session = MakeSession(MakeModel(kReshape));
  for (const int32_t rows : {2, 3, 3, 6, 1, 2}) {
    Fill<float>(session, "x", {1, 2, 3, 4, 5, 6});
    Fill<int32_t>(session, "rows", {rows});
    const Status status = session.Run();
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(session.outputs()[0].shape,
              (std::vector<int32_t>{rows, 6 / rows}));
    EXPECT_EQ(Read(session, "z"), (std::vector<float>{-1, -2, -3, -4, -5, -6}));
  }
}

TEST(RunTimeShapes, ImpossibleValuesAreAnErrorAndTheNextRunIsFine) {
  Session session = MakeSession(MakeModel(kReshape));
  Fill<float>(session, "x", {1, 2, 3, 4, 5, 6});
  Fill<int32_t>(session, "rows", {2});
  ASSERT_TRUE(session.Run());
  Fill<int32_t>(session, "rows", {4});  // 4 x 1 is not 6.
  const Status status = session.Run();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidInput)
      << status.error().message;
  // Nothing of the dropped plan is left to be read.
  const auto output = session.OutputBytes("z");
  ASSERT_TRUE(output);
  EXPECT_EQ(output->size(), 0u);
  Fill<int32_t>(session, "rows", {3});
  ASSERT_TRUE(session.Run());
  EXPECT_EQ(Read(session, "z"), (std::vector<float>{-1, -2, -3, -4, -5, -6}));
}

constexpr std::string_view kAdd = R"(graph main
input  x: float32[2] resizable[-1]
input  y: float32[2] resizable[-1]
z: float32[2] = ADD(x, y)
output z
signature add(left=x, right=y) -> (sum=z)
)";

TEST(Inputs, TheirValueIsSetByBytesOfTheRightSize) {
  Session session = MakeSession(MakeModel(kAdd));
  const std::vector<float> x = {1, 2}, y = {10, 20}, long_one = {1, 2, 3};
  ASSERT_TRUE(session.SetInput("left", std::as_bytes(std::span(x))));
  ASSERT_TRUE(session.SetInput("#1", std::as_bytes(std::span(y))));
  ASSERT_TRUE(session.Run());
  EXPECT_EQ(Read(session, "sum"), (std::vector<float>{11, 22}));
  const Status status =
      session.SetInput("left", std::as_bytes(std::span(long_one)));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidInput);
}

TEST(Inputs, TwoThatDependOnEachOtherAreResizedTogether) {
  Session session = MakeSession(MakeModel(kAdd));
  ASSERT_FALSE(session.Resize("left", std::vector<int32_t>{3}));
  EXPECT_EQ(session.inputs()[0].shape, (std::vector<int32_t>{2}));
  const std::vector<InputShape> both = {{"left", {3}}, {"right", {3}}};
  const Status status = session.Resize(both);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(RunOn(session, {{1, 2, 3}, {1, 1, 1}}),
            (std::vector<float>{2, 3, 4}));
}

// An input that the file stores: LiteRT's converters make such.
TEST(Inputs, AStoredConstantTakesItsOwnValueAndNoOther) {
  auto graph = graph::FromText(R"(graph main
input  x: float32[2]
const  w: float32[2] = 3 4
y: float32[2] = MUL(x, w)
output y
)");
  ASSERT_TRUE(graph) << graph.error().message;
  graph::Subgraph& main = graph->subgraphs[0];
  for (size_t i = 0; i < main.tensors.size(); ++i) {
    if (main.tensors[i].name == "w") {
      main.inputs.push_back(static_cast<int32_t>(i));
    }
  }
  auto model = OpenGraph(*graph);
  ASSERT_TRUE(model) << model.error().message;
  Session session = MakeSession(*model);
  ASSERT_EQ(session.inputs().size(), 2u);
  EXPECT_TRUE(session.inputs()[1].is_constant);
  EXPECT_FALSE(session.Input<float>("w"));
  const std::vector<float> same = {3, 4}, other = {3, 5};
  EXPECT_TRUE(session.SetInput("w", std::as_bytes(std::span(same))));
  EXPECT_FALSE(session.SetInput("w", std::as_bytes(std::span(other))));
  const auto value = session.InputValue("w");
  ASSERT_TRUE(value);
  EXPECT_TRUE(std::ranges::equal(*value, std::as_bytes(std::span(same))));
  EXPECT_EQ(RunOn(session, {{1, 2}}), (std::vector<float>{3, 8}));
}

// Two strings, chosen among by IF: strings go through the executor alone.
constexpr std::string_view kStrings = R"(graph main
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
)";

TEST(Strings, GoInAndComeOut) {
  Session session = MakeSession(MakeModel(kStrings));
  const std::vector<std::string> a = {"", std::string("a\0b", 3)},
                                 b = {"longer than the others", "x"};
  ASSERT_TRUE(session.SetStrings("a", a));
  ASSERT_TRUE(session.SetStrings("b", b));
  EXPECT_EQ(*session.Strings("a"), a);
  for (const bool first : {true, false, true}) {
    auto choice = session.Input<bool>("first");
    ASSERT_TRUE(choice);
    (*choice)[0] = first;
    const Status status = session.Run();
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(*session.Strings("y"), first ? a : b);
  }
}

TEST(Strings, AreCheckedWhenTheyComePacked) {
  Session session = MakeSession(MakeModel(kStrings));
  EXPECT_FALSE(session.SetStrings("a", std::vector<std::string>{"one"}));
  EXPECT_FALSE(session.InputBytes("a"));
  EXPECT_FALSE(session.Input<bool>("a"));
  const std::vector<int32_t> bad[] = {
      {2},
      {2, 16, 20, 24},
      {2, 16, 12, 16},
      {-1, 16, 16, 16},
      {2, -4, 16, 16},
      {1000000000, 16, 16, 16},
  };
  for (const auto& words : bad) {
    EXPECT_FALSE(session.SetInput("a", std::as_bytes(std::span(words))));
  }
  const std::vector<int32_t> empty_ones = {2, 16, 16, 16};
  EXPECT_TRUE(session.SetInput("a", std::as_bytes(std::span(empty_ones))));
  EXPECT_EQ(*session.Strings("a"), (std::vector<std::string>{"", ""}));
}

TEST(KeepAll, GivesTheValueOfEveryTensor) {
  SessionOptions options;
  options.keep_all = true;
  Session session = MakeSession(MakeModel(kComposite), options);
  RunOn(session, {{1, -3}});
  size_t found = 0;
  for (const TensorInfo& tensor : session.tensors()) {
    const auto bytes = session.Tensor(tensor.index);
    if (tensor.name != "y") continue;
    ++found;
    ASSERT_EQ(bytes.size(), 2 * sizeof(float));
    float values[2];
    std::memcpy(values, bytes.data(), bytes.size());
    EXPECT_EQ(values[0], 0.5f);
    EXPECT_EQ(values[1], -0.75f);
  }
  EXPECT_EQ(found, 1u);
  EXPECT_TRUE(session.Tensor(-1).empty());
  EXPECT_TRUE(session.Tensor(1000).empty());
}

// A model with packed weights, a loop and a variable, run by eight sessions at
// once.
constexpr std::string_view kBusy = R"(graph main
input  n: float32[1]
input  x: float32[4,32]
const  w: float32[48,32]
const  v: float32[32,48]
= CALL_ONCE() {init_subgraph_index=3}
h: resource[] = VAR_HANDLE() {container="" shared_name="runs"}
old: float32[1] = READ_VARIABLE(h)
const  one: float32[1] = 1
new: float32[1] = ADD(old, one)
= ASSIGN_VARIABLE(h, new)
wide: float32[4,48] = FULLY_CONNECTED(x, w, -)
narrow: float32[4,32] = FULLY_CONNECTED(wide, v, -)
m: float32[1], y: float32[4,32] = WHILE(n, narrow) {cond_subgraph_index=1 body_subgraph_index=2}
output y
output new
graph cond
input  n: float32[1]
input  x: float32[4,32]
const  zero: float32[1] = 0
more: bool[1] = GREATER(n, zero)
output more
graph body
input  n: float32[1]
input  x: float32[4,32]
const  one: float32[1] = 1
const  u: float32[32,32]
less: float32[1] = SUB(n, one)
y: float32[4,32] = FULLY_CONNECTED(x, u, -)
z: float32[4,32] = TANH(y)
output less
output z
graph init
const  start: float32[1] = 0
h: resource[] = VAR_HANDLE() {container="" shared_name="runs"}
= ASSIGN_VARIABLE(h, start)
)";

class SessionThreads : public testing::TestWithParam<bool> {};

TEST_P(SessionThreads, EightSessionsOfOneModelRunAtOnce) {
  auto graph = graph::FromText(kBusy);
  ASSERT_TRUE(graph) << graph.error().message;
  // Weights that are not zero.
  std::mt19937 rng(1);
  for (graph::Buffer& buffer : graph->buffers) {
    if (buffer.bytes.size() < 1000) continue;
    std::vector<float> values(buffer.bytes.size() / sizeof(float));
    for (float& x : values) {
      x = static_cast<float>(rng()) / 2147483648.0f - 1;
    }
    auto owner = std::make_shared<std::vector<float>>(std::move(values));
    buffer.bytes = std::as_bytes(std::span(*owner));
    buffer.owner = owner;
  }
  const auto model = OpenGraph(*graph);
  ASSERT_TRUE(model) << model.error().message;

  constexpr int kSessions = 8, kRuns = 5;
  const auto result_of = [&](Session& session, uint32_t seed, int run) {
    FillAll(session, seed);
    (*session.Input<float>("n"))[0] = static_cast<float>(1 + seed % 4);
    const Status status = session.Run();
    EXPECT_TRUE(status) << status.error().message;
    EXPECT_EQ(Read(session, "new"),
              (std::vector<float>{static_cast<float>(run + 1)}));
    return AllOutputs(session);
  };
  std::vector<std::string> expected;
  for (uint32_t seed = 0; seed < kSessions; ++seed) {
    Session alone = MakeSession(*model);
    expected.push_back(result_of(alone, seed, 0));
    const size_t values = 4 * 32 * sizeof(float);
    expected.back().resize(values);
  }

  Threads shared(3);
  std::vector<std::thread> threads;
  for (uint32_t seed = 0; seed < kSessions; ++seed) {
    threads.emplace_back([&, seed] {
      Threads own(2);
      SessionOptions options;
      options.threads = GetParam() ? &shared : &own;
      auto session = Session::Create(*model, options);
      ASSERT_TRUE(session) << session.error().message;
      for (int run = 0; run < kRuns; ++run) {
        std::string found = result_of(*session, seed, run);
        found.resize(expected[seed].size());
        EXPECT_EQ(found, expected[seed]) << "seed " << seed << " run " << run;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

INSTANTIATE_TEST_SUITE_P(Pools, SessionThreads, testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "Shared" : "Own";
                         });

}  // namespace
}  // namespace lathe
