// The text form: what is written reads back, and people's text is understood.

#include "src/graph/text.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lathe::graph {
namespace {

using testing::HasSubstr;

// Everything the text form has, as ToText writes it.
constexpr std::string_view kWhole = R"(graph main
input  x: float32[1,4,8] resizable[1,-1,8]
const  w: float32[2,8] = 0.5 -1 0.1 1e-09 inf 3 4 5 6 7 8 9 10 11 12 13
const  "odd name;1": int32[2] = 1 -1
const  half: float16[2] = 0x003c00c0
const  q: int8[2,1] scale[0.5,0.25] zero[0,0] = 1 -2
const  large: float32[100,1]
const  axis: int32[] = 1
variable state: float32[1,2]
unused %8: float32[0]
y: float32[1,4,2] = FULLY_CONNECTED@5(x, w, -) {keep_num_dims=true}
"a:0": float32[1,2,2], b: float32[1,2,2] = SPLIT(axis, y) {num_splits=2}
z: float32[4,2] = RESHAPE(y, "odd name;1")
c: float32[4,2] = CUSTOM MyOp(z, state) via (%8) 0x0aff
region silu(y) -> c {ops=0-1,3 epsilon=1e-05}
output c
output b
signature serve(in=x) -> (out=c, other=b)
)";

TEST(Text, WritesBackWhatItReads) {
  const auto graph = FromText(kWhole);
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(ToText(*graph), kWhole);
}

TEST(Text, InfersTypesThatAreLeftOut) {
  const auto graph = FromText(R"(
    # a comment
    graph main
    input x: float32[2,3]
    const order: int32[2] = 1 0
    y = TRANSPOSE(x, order)
    a, b, c = UNPACK(y) {num=3}
    output b)");
  ASSERT_TRUE(graph) << graph.error().message;
  const Subgraph& subgraph = graph->subgraphs[0];
  EXPECT_EQ(subgraph.tensors[2].shape, (Shape{3, 2}));
  EXPECT_EQ(subgraph.tensors[4].shape, (Shape{2}));
}

TEST(Text, RefusesUnknownRegions) {
  const auto graph = FromText(
      "graph g\ninput x: float32[2]\n"
      "y = LEAKY_RELU(x) {alpha=0.5}\n"
      "region kSilu(x) -> y {ops=0}\n");
  ASSERT_FALSE(graph);
  EXPECT_THAT(graph.error().message, HasSubstr("line 4: 'kSilu'"));
}

TEST(Text, NamesTheLineOfAnError) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"input x: float32[2]", "line 1: 'graph NAME'"},
      {"graph g\ny = ABS(x)", "line 2: there is no tensor 'x'"},
      {"graph g\ninput x: floaty[2]", "'floaty' is no type"},
      {"graph g\ninput x: float32[-1]", "dim -1"},
      {"graph g\ninput x: float32[2]\ny = FLY(x)", "'FLY' is no operator"},
      {"graph g\ninput x: float32[2]\nx = ABS(x)", "already there"},
      {"graph g\ninput x: float32[2]\ny = SKIP_GRAM(x)", "no shape rule"},
      {"graph g\ninput x: float32[2] 7", "'7' stands behind"},
      {"graph g\nconst x: float32[2] = 1", "4 bytes of data"},
      {"graph g\nconst x: float32[2] = 1 a", "'a' is no number"},
      {"graph g\nconst x: float32[2147483647]", "bytes of zeros"},
      {"graph \"g", "'\"' expected"},
      {"graph g\ninput x: float32[2]\nregion silu(x) -> x {ops=0}",
       "there are 0"},
  };
  for (const auto& [text, expected] : cases) {
    const auto graph = FromText(text);
    ASSERT_FALSE(graph) << text;
    EXPECT_THAT(graph.error().message, HasSubstr(expected)) << text;
  }
}

}  // namespace
}  // namespace lathe::graph
