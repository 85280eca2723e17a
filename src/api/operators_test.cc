// Every operator that plan has a kernel for, from a file to its values, against
// a plain definition in double.

#include <array>
#include <functional>
#include <limits>
#include <map>
#include <numbers>
#include <numeric>
#include <set>

#include "src/api/test_support.h"
#include "src/plan/lowering.h"

namespace lathe {
namespace {

using graph::Shape;

struct Array {
  Shape shape;
  std::vector<double> values;
};
using Index = std::vector<int64_t>;
using Arrays = std::map<std::string, Array>;

// --- Plain definitions -------------------------------------------------------

size_t Count(const Shape& shape) { return graph::ElementCount(shape); }

size_t Flat(const Shape& shape, const Index& index) {
  size_t at = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    at = at * static_cast<size_t>(shape[i]) + static_cast<size_t>(index[i]);
  }
  return at;
}

// Calls f with each index of the shape, row-major.
void ForEach(const Shape& shape, const std::function<void(const Index&)>& f) {
  Index index(shape.size(), 0);
  for (size_t n = Count(shape); n > 0; --n) {
    f(index);
    for (size_t i = shape.size(); i-- > 0;) {
      if (++index[i] < shape[i]) break;
      index[i] = 0;
    }
  }
}

Array Make(const Shape& shape, const std::function<double(const Index&)>& f) {
  Array out{shape, {}};
  ForEach(shape, [&](const Index& index) { out.values.push_back(f(index)); });
  return out;
}

// y[index] = x[from(index)]
Array Pick(const Array& x, const Shape& shape,
           const std::function<Index(const Index&)>& from) {
  return Make(shape, [&](const Index& index) {
    return x.values[Flat(x.shape, from(index))];
  });
}

Array Map(const Array& x, const std::function<double(double)>& f) {
  Array out = x;
  for (double& v : out.values) v = f(v);
  return out;
}

double At(const Array& x, const Index& index) {
  // Aligned at the right; dims of 1 repeat.
  Index mine(x.shape.size());
  for (size_t i = 0; i < mine.size(); ++i) {
    const int64_t at = index[index.size() - mine.size() + i];
    mine[i] = x.shape[i] == 1 ? 0 : at;
  }
  return x.values[Flat(x.shape, mine)];
}

Array Zip(const Array& a, const Array& b,
          const std::function<double(double, double)>& f) {
  Shape shape(std::max(a.shape.size(), b.shape.size()), 1);
  for (const Array* x : {&a, &b}) {
    for (size_t i = 0; i < x->shape.size(); ++i) {
      int32_t& dim = shape[shape.size() - x->shape.size() + i];
      if (dim == 1) dim = x->shape[i];
    }
  }
  return Make(shape, [&](const Index& i) { return f(At(a, i), At(b, i)); });
}

Array Reduce(const Array& x, const std::set<size_t>& axes, bool keep,
             const std::function<double(const std::vector<double>&)>& f) {
  Shape kept;
  for (size_t i = 0; i < x.shape.size(); ++i) {
    if (!axes.contains(i)) kept.push_back(x.shape[i]);
    if (axes.contains(i) && keep) kept.push_back(1);
  }
  std::vector<std::vector<double>> groups(Count(kept));
  ForEach(x.shape, [&](const Index& index) {
    Index to;
    for (size_t i = 0; i < index.size(); ++i) {
      if (!axes.contains(i)) to.push_back(index[i]);
      if (axes.contains(i) && keep) to.push_back(0);
    }
    groups[Flat(kept, to)].push_back(x.values[Flat(x.shape, index)]);
  });
  Array out{kept, {}};
  for (const auto& group : groups) out.values.push_back(f(group));
  return out;
}

double Sum(const std::vector<double>& v) {
  return std::accumulate(v.begin(), v.end(), 0.0);
}

struct Window {
  bool valid = false;
  int stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
};

// Where an axis starts: -before of the format's SAME padding.
int64_t Before(bool valid, int64_t out, int64_t stride, int64_t extent,
               int64_t in) {
  if (valid) return 0;
  return std::max<int64_t>(0, (out - 1) * stride + extent - in) / 2;
}

Array Conv(const Array& x, const Array& w, const Array* bias, Window k) {
  const auto size = [&](int64_t in, int64_t taps, int64_t stride,
                        int64_t dilation) {
    const int64_t extent = (taps - 1) * dilation + 1;
    return static_cast<int32_t>(k.valid ? (in - extent) / stride + 1
                                        : (in + stride - 1) / stride);
  };
  const Shape shape = {
      x.shape[0], size(x.shape[1], w.shape[1], k.stride_h, k.dilation_h),
      size(x.shape[2], w.shape[2], k.stride_w, k.dilation_w), w.shape[0]};
  const int64_t top = Before(k.valid, shape[1], k.stride_h,
                             (w.shape[1] - 1) * k.dilation_h + 1, x.shape[1]);
  const int64_t left = Before(k.valid, shape[2], k.stride_w,
                              (w.shape[2] - 1) * k.dilation_w + 1, x.shape[2]);
  const int32_t groups = x.shape[3] / w.shape[3];
  return Make(shape, [&](const Index& y) {
    double sum = bias ? bias->values[static_cast<size_t>(y[3])] : 0;
    const int64_t first_channel =
        y[3] / (w.shape[0] / groups) * int64_t{w.shape[3]};
    ForEach({w.shape[1], w.shape[2], w.shape[3]}, [&](const Index& tap) {
      const int64_t h = y[1] * k.stride_h - top + tap[0] * k.dilation_h;
      const int64_t v = y[2] * k.stride_w - left + tap[1] * k.dilation_w;
      if (h < 0 || h >= x.shape[1] || v < 0 || v >= x.shape[2]) return;
      sum += x.values[Flat(x.shape, {y[0], h, v, first_channel + tap[2]})] *
             w.values[Flat(w.shape, {y[3], tap[0], tap[1], tap[2]})];
    });
    return sum;
  });
}

Array TransposeConv(const Array& x, const Array& w, const Array* bias,
                    const Shape& shape, Window k) {
  Array y = Make(shape, [&](const Index& i) {
    return bias ? bias->values[static_cast<size_t>(i[3])] : 0;
  });
  const int64_t top =
      Before(k.valid, x.shape[1], k.stride_h, w.shape[1], shape[1]);
  const int64_t left =
      Before(k.valid, x.shape[2], k.stride_w, w.shape[2], shape[2]);
  ForEach(x.shape, [&](const Index& i) {
    ForEach({w.shape[0], w.shape[1], w.shape[2]}, [&](const Index& tap) {
      const int64_t h = i[1] * k.stride_h - top + tap[1];
      const int64_t v = i[2] * k.stride_w - left + tap[2];
      if (h < 0 || h >= shape[1] || v < 0 || v >= shape[2]) return;
      y.values[Flat(shape, {i[0], h, v, tap[0]})] +=
          x.values[Flat(x.shape, i)] *
          w.values[Flat(w.shape, {tap[0], tap[1], tap[2], i[3]})];
    });
  });
  return y;
}

// Rows of the last axis times w[n, k] transposed.
Array Dense(const Array& x, const Array& w, const Array* bias, Shape shape) {
  const auto k = static_cast<size_t>(w.shape[1]);
  const auto n = static_cast<size_t>(w.shape[0]);
  Array y{std::move(shape), {}};
  for (size_t row = 0; row < x.values.size() / k; ++row) {
    for (size_t j = 0; j < n; ++j) {
      double sum = bias ? bias->values[j] : 0;
      for (size_t p = 0; p < k; ++p) {
        sum += x.values[row * k + p] * w.values[j * k + p];
      }
      y.values.push_back(sum);
    }
  }
  return y;
}

Array Swapped(const Array& x) {
  Shape shape = x.shape;
  std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  return Pick(x, shape, [](Index i) {
    std::swap(i[i.size() - 1], i[i.size() - 2]);
    return i;
  });
}

Array Matmul(const Array& a, const Array& b) {
  Shape shape(std::max(a.shape.size(), b.shape.size()), 1);
  for (const Array* x : {&a, &b}) {
    for (size_t i = 0; i < x->shape.size(); ++i) {
      int32_t& dim = shape[shape.size() - x->shape.size() + i];
      if (dim == 1) dim = x->shape[i];
    }
  }
  const size_t rank = shape.size();
  shape[rank - 2] = a.shape[a.shape.size() - 2];
  shape[rank - 1] = b.shape.back();
  return Make(shape, [&](const Index& y) {
    double sum = 0;
    for (int64_t p = 0; p < a.shape.back(); ++p) {
      Index left = y, right = y;
      left[rank - 1] = p;
      right[rank - 2] = p;
      sum += At(a, left) * At(b, right);
    }
    return sum;
  });
}

Array Reshaped(const Array& x, const Shape& shape) { return {shape, x.values}; }

double Relu6(double x) { return std::clamp(x, 0.0, 6.0); }

// --- The table
// -----------------------------------------------------------------

struct OpCase {
  std::string name;  // The operator's, then what is special.
  // The graph's lines. Constants without values get random ones.
  std::string text;
  std::function<std::vector<Array>(const Arrays&)> want;
  double bound = 2e-6;  // Of the largest value, inputs included.
  double low = -1, high = 1;
  bool halves = false;  // Inputs are multiples of 0.5.
};

void AddUnaries(std::vector<OpCase>& all) {
  const struct {
    std::string name, fields;
    double (*f)(double);
    double low, high;
  } rows[] = {
      {"ABS", "", [](double x) { return std::abs(x); }, -3, 3},
      {"NEG", "", [](double x) { return -x; }, -3, 3},
      {"SQRT", "", [](double x) { return std::sqrt(x); }, 0, 9},
      {"RSQRT", "", [](double x) { return 1 / std::sqrt(x); }, 0.1, 9},
      {"SQUARE", "", [](double x) { return x * x; }, -3, 3},
      {"EXP", "", [](double x) { return std::exp(x); }, -5, 5},
      {"LOG", "", [](double x) { return std::log(x); }, 0.1, 20},
      {"SIN", "", [](double x) { return std::sin(x); }, -30, 30},
      {"COS", "", [](double x) { return std::cos(x); }, -30, 30},
      {"TANH", "", [](double x) { return std::tanh(x); }, -5, 5},
      {"LOGISTIC", "", [](double x) { return 1 / (1 + std::exp(-x)); }, -9, 9},
      {"RELU", "", [](double x) { return std::max(x, 0.0); }, -3, 3},
      {"RELU6", "", Relu6, -3, 9},
      {"RELU_N1_TO_1", "", [](double x) { return std::clamp(x, -1.0, 1.0); },
       -3, 3},
      {"RELU_0_TO_1", "", [](double x) { return std::clamp(x, 0.0, 1.0); }, -3,
       3},
      {"ELU", "", [](double x) { return x > 0 ? x : std::expm1(x); }, -5, 5},
      {"HARD_SWISH", "", [](double x) { return x * Relu6(x + 3) / 6; }, -5, 5},
      {"LEAKY_RELU", " {alpha=0.25}",
       [](double x) { return x > 0 ? x : 0.25 * x; }, -3, 3},
      {"GELU", "", [](double x) { return 0.5 * x * std::erfc(-x / M_SQRT2); },
       -5, 5},
      {"GELU", " {approximate=true}",
       [](double x) {
         return 0.5 * x *
                (1 + std::tanh(std::sqrt(2 / std::numbers::pi) *
                               (x + 0.044715 * x * x * x)));
       },
       -5, 5},
      {"FLOOR", "", [](double x) { return std::floor(x); }, -3, 3},
      {"CEIL", "", [](double x) { return std::ceil(x); }, -3, 3},
      {"ROUND", "", [](double x) { return std::nearbyint(x); }, -3, 3},
      {"SIGN", "", [](double x) { return (x > 0) - (x < 0) + 0.0; }, -3, 3},
  };
  for (const auto& row : rows) {
    for (const char* shape : {"[3,50]", "[]", "[1]", "[0,4]"}) {
      OpCase one;
      one.name = row.name + row.fields + " " + shape;
      one.text = "input x: float32" + std::string(shape) + "\ny = " + row.name +
                 "(x)" + row.fields + "\noutput y\n";
      one.want = [f = row.f](const Arrays& t) {
        return std::vector{Map(t.at("x"), f)};
      };
      one.low = row.low;
      one.high = row.high;
      one.halves = row.name == "ROUND" || row.name == "FLOOR" ||
                   row.name == "CEIL" || row.name == "SIGN";
      all.push_back(std::move(one));
    }
  }
}

void AddBinaries(std::vector<OpCase>& all) {
  const struct {
    std::string name;
    double (*f)(double, double);
    bool activation;
  } rows[] = {
      {"ADD", [](double a, double b) { return a + b; }, true},
      {"SUB", [](double a, double b) { return a - b; }, true},
      {"MUL", [](double a, double b) { return a * b; }, true},
      {"DIV", [](double a, double b) { return a / b; }, true},
      {"MAXIMUM", [](double a, double b) { return std::max(a, b); }, false},
      {"MINIMUM", [](double a, double b) { return std::min(a, b); }, false},
      {"SQUARED_DIFFERENCE",
       [](double a, double b) { return (a - b) * (a - b); }, false},
  };
  const std::pair<const char*, const char*> shapes[] = {
      {"[3,20]", "[3,20]"},
      {"[3,20]", "[20]"},
      {"[3,20]", "[3,1]"},
      {"[3,1]", "[1,20]"},
      {"[20]", "[3,20]"},
      {"[]", "[3,20]"},
      {"[2,1,4,1]", "[3,1,5]"},
      {"[3,20]", "[1]"},
      {"[]", "[]"},
      {"[2,3,4,5]", "[2,1,4,1]"},
      {"[0,3]", "[1,3]"},
      // Nothing can be merged, up to the highest rank.
      {"[2,1,2,1,2,1,2,1]", "[1,2,1,2,1,2,1,2]"},
      {"[2,1,2,1,2,1,2,1,2,1,2,1,2,1,2,1]", "[2,2,1,2,1,2,1,2,1,2,1,1]"},
  };
  for (const auto& row : rows) {
    for (const auto& [a, b] : shapes) {
      OpCase one;
      one.name = row.name + " " + a + " " + b;
      one.text = std::string("input a: float32") + a + "\ninput b: float32" +
                 b + "\ny = " + row.name + "(a, b)\noutput y\n";
      one.want = [f = row.f](const Arrays& t) {
        return std::vector{Zip(t.at("a"), t.at("b"), f)};
      };
      one.low = row.name == "DIV" ? 0.2 : -2;
      one.high = 2;
      all.push_back(std::move(one));
    }
    const std::pair<double, double> clamps[] = {{0, INFINITY}, {-1, 1}, {0, 6}};
    for (int i = 0; row.activation && i < 3; ++i) {
      OpCase one;
      one.name = row.name + " activation " + std::to_string(i + 1);
      one.text =
          "input a: float32[3,20]\ninput b: float32[3,20]\ny = " + row.name +
          "(a, b) {fused_activation_function=" + std::to_string(i + 1) +
          "}\noutput y\n";
      one.want = [f = row.f, c = clamps[i]](const Arrays& t) {
        return std::vector{Zip(t.at("a"), t.at("b"), [&](double a, double b) {
          return std::clamp(f(a, b), c.first, c.second);
        })};
      };
      one.low = -9;
      one.high = 9;
      all.push_back(std::move(one));
    }
    // One tensor twice, made by another operator, so that it may run in place.
    OpCase twice;
    twice.name = row.name + " of one tensor";
    twice.text = "input x: float32[3,20]\na = ABS(x)\ny = " + row.name +
                 "(a, a)\noutput y\n";
    twice.want = [f = row.f](const Arrays& t) {
      return std::vector{Map(
          t.at("x"), [&](double x) { return f(std::abs(x), std::abs(x)); })};
    };
    all.push_back(std::move(twice));
  }
}

void AddReductions(std::vector<OpCase>& all) {
  using Values = const std::vector<double>&;
  const struct {
    std::string name;
    double (*f)(Values);
  } rows[] = {
      {"SUM", Sum},
      {"MEAN", [](Values v) { return Sum(v) / static_cast<double>(v.size()); }},
      {"REDUCE_PROD",
       [](Values v) {
         return std::accumulate(v.begin(), v.end(), 1.0, std::multiplies<>());
       }},
      {"REDUCE_MAX", [](Values v) { return *std::ranges::max_element(v); }},
      {"REDUCE_MIN", [](Values v) { return *std::ranges::min_element(v); }},
  };
  const struct {
    const char *axes, *values;
    std::set<size_t> want;
  } axes[] = {{"[1]", "3", {3}},      {"[1]", "0", {0}},
              {"[1]", "-3", {1}},     {"[2]", "1 2", {1, 2}},
              {"[2]", "3 0", {0, 3}}, {"[3]", "2 -2 1", {1, 2}},
              {"[]", "-1", {3}},      {"[4]", "0 1 2 3", {0, 1, 2, 3}}};
  for (const auto& row : rows) {
    for (const auto& axis : axes) {
      for (const bool keep : {false, true}) {
        OpCase one;
        one.name = row.name + " over " + axis.values + (keep ? " kept" : "");
        one.text =
            std::string("input x: float32[2,3,4,30]\nconst axes: int32") +
            axis.axes + " = " + axis.values + "\ny = " + row.name +
            "(x, axes)" + (keep ? " {keep_dims=true}" : "") + "\noutput y\n";
        one.want = [f = row.f, want = axis.want, keep](const Arrays& t) {
          return std::vector{Reduce(t.at("x"), want, keep, f)};
        };
        // Products of 720 values stay within range.
        one.low = row.name == "REDUCE_PROD" ? 0.98 : -1;
        one.high = row.name == "REDUCE_PROD" ? 1.02 : 1;
        one.bound = 5e-6;
        all.push_back(std::move(one));
      }
    }
  }
  for (const double beta : {1.0, 2.5}) {
    for (const Shape& shape :
         {Shape{7}, Shape{3, 50}, Shape{2, 3, 1}, Shape{40, 4}}) {
      OpCase one;
      one.name =
          fmt::format("SOFTMAX {} beta {}", graph::ToString(shape), beta);
      one.text = fmt::format(
          "input x: float32{}\ny = SOFTMAX(x) {{beta={:.1f}}}\noutput y\n",
          graph::ToString(shape), beta);
      one.want = [beta](const Arrays& t) {
        const Array& x = t.at("x");
        const Array e = Map(x, [&](double v) { return std::exp(beta * v); });
        const Array sums = Reduce(e, {x.shape.size() - 1}, true, Sum);
        return std::vector{
            Zip(e, sums, [](double a, double b) { return a / b; })};
      };
      one.low = -6;
      one.high = 6;
      all.push_back(std::move(one));
    }
  }
}

void AddContractions(std::vector<OpCase>& all) {
  const struct {
    std::string name, x, w, fields;
    Window window;
  } convs[] = {
      {"1x1", "[1,5,6,7]", "[9,1,1,7]", "stride_w=1 stride_h=1", {}},
      {"3x3 same", "[2,5,6,3]", "[4,3,3,3]", "stride_w=1 stride_h=1", {}},
      {"3x3 valid",
       "[2,5,6,3]",
       "[4,3,3,3]",
       "padding=1 stride_w=1 stride_h=1",
       {true}},
      {"strides",
       "[1,9,10,3]",
       "[4,3,2,3]",
       "stride_w=3 stride_h=2",
       {false, 2, 3}},
      {"strides valid",
       "[1,9,10,3]",
       "[4,3,2,3]",
       "padding=1 stride_w=3 stride_h=2",
       {true, 2, 3}},
      {"dilations",
       "[1,9,10,3]",
       "[4,3,3,3]",
       "stride_w=1 stride_h=1 dilation_w_factor=3 dilation_h_factor=2",
       {false, 1, 1, 2, 3}},
      {"groups", "[1,5,6,8]", "[6,3,3,4]", "stride_w=1 stride_h=1", {}},
      {"a group for each channel",
       "[1,5,6,4]",
       "[4,3,3,1]",
       "stride_w=1 stride_h=1",
       {}},
      {"one row dilated",
       "[2,1,40,6]",
       "[5,1,7,6]",
       "stride_w=1 stride_h=1 dilation_w_factor=9",
       {false, 1, 1, 1, 9}},
      {"one row strided",
       "[1,1,64,6]",
       "[5,1,16,6]",
       "stride_w=8 stride_h=1",
       {false, 1, 8}},
      {"one row, few outputs",
       "[1,1,50,16]",
       "[2,1,7,16]",
       "stride_w=1 stride_h=1",
       {}},
      {"one input", "[1,1,1,6]", "[5,1,7,6]", "stride_w=1 stride_h=1", {}},
      {"many channels",
       "[1,1,20,150]",
       "[140,1,3,150]",
       "stride_w=1 stride_h=1",
       {}},
  };
  for (const auto& row : convs) {
    for (const bool has_bias : {true, false}) {
      const std::string outputs = row.w.substr(1, row.w.find(',') - 1);
      OpCase one;
      one.name = "CONV_2D " + row.name + (has_bias ? "" : ", no bias");
      one.text = "input x: float32" + row.x + "\nconst w: float32" + row.w +
                 "\nconst b: float32[" + outputs + "]\ny = CONV_2D(x, w, " +
                 (has_bias ? "b" : "-") + ") {" + row.fields + "}\noutput y\n";
      one.want = [window = row.window, has_bias](const Arrays& t) {
        return std::vector{Conv(t.at("x"), t.at("w"),
                                has_bias ? &t.at("b") : nullptr, window)};
      };
      one.bound = 5e-6;
      all.push_back(std::move(one));
    }
  }
  for (int i = 1; i <= 3; ++i) {
    const std::pair<double, double> clamp =
        std::array<std::pair<double, double>, 3>{
            {{0, INFINITY}, {-1, 1}, {0, 6}}}[static_cast<size_t>(i - 1)];
    OpCase one;
    one.name = "CONV_2D activation " + std::to_string(i);
    one.text =
        "input x: float32[1,4,9,30]\nconst w: float32[8,3,3,30]\n"
        "y = CONV_2D(x, w, -) {stride_w=1 stride_h=1 "
        "fused_activation_function=" +
        std::to_string(i) + "}\noutput y\n";
    one.want = [clamp](const Arrays& t) {
      return std::vector{Map(
          Conv(t.at("x"), t.at("w"), nullptr, {}),
          [&](double v) { return std::clamp(v, clamp.first, clamp.second); })};
    };
    one.bound = 5e-6;
    all.push_back(std::move(one));
    one.name = "FULLY_CONNECTED activation " + std::to_string(i);
    one.text =
        "input x: float32[9,50]\nconst w: float32[20,50]\n"
        "y = FULLY_CONNECTED(x, w, -) {fused_activation_function=" +
        std::to_string(i) + "}\noutput y\n";
    one.want = [clamp](const Arrays& t) {
      return std::vector{Map(
          Dense(t.at("x"), t.at("w"), nullptr, {9, 20}),
          [&](double v) { return std::clamp(v, clamp.first, clamp.second); })};
    };
    all.push_back(std::move(one));
  }
  const struct {
    std::string name, x, w;
    Shape out;
    std::string fields;
    Window window;
  } transposed[] = {
      {"same",
       "[1,1,9,6]",
       "[5,1,8,6]",
       {1, 1, 36, 5},
       "stride_w=4 stride_h=1",
       {false, 1, 4}},
      {"valid",
       "[1,1,9,6]",
       "[5,1,8,6]",
       {1, 1, 40, 5},
       "padding=1 stride_w=4 stride_h=1",
       {true, 1, 4}},
      {"square",
       "[2,3,4,3]",
       "[4,3,3,3]",
       {2, 6, 8, 4},
       "stride_w=2 stride_h=2",
       {false, 2, 2}},
      {"square valid",
       "[2,3,4,3]",
       "[4,3,3,3]",
       {2, 7, 9, 4},
       "padding=1 stride_w=2 stride_h=2",
       {true, 2, 2}},
      {"odd output",
       "[1,1,5,2]",
       "[3,1,3,2]",
       {1, 1, 9, 3},
       "stride_w=2 stride_h=1",
       {false, 1, 2}},
  };
  for (const auto& row : transposed) {
    for (const bool has_bias : {true, false}) {
      OpCase one;
      one.name = "TRANSPOSE_CONV " + row.name + (has_bias ? "" : ", no bias");
      one.text = fmt::format(
          "input x: float32{}\nconst w: float32{}\nconst b: float32[{}]\n"
          "const size: int32[4] = {} {} {} {}\n"
          "y = TRANSPOSE_CONV(size, w, x{}) {{{}}}\noutput y\n",
          row.x, row.w, row.out[3], row.out[0], row.out[1], row.out[2],
          row.out[3], has_bias ? ", b" : "", row.fields);
      one.want = [out = row.out, window = row.window,
                  has_bias](const Arrays& t) {
        return std::vector{TransposeConv(t.at("x"), t.at("w"),
                                         has_bias ? &t.at("b") : nullptr, out,
                                         window)};
      };
      one.bound = 5e-6;
      all.push_back(std::move(one));
    }
  }
  const struct {
    std::string name, text;
    Shape out;
    bool bias;
  } dense[] = {
      {"rows",
       "input x: float32[9,50]\nconst w: float32[20,50]\n"
       "const b: float32[20]\ny = FULLY_CONNECTED(x, w, b)\n",
       {9, 20},
       true},
      {"one row",
       "input x: float32[50]\nconst w: float32[20,50]\n"
       "y = FULLY_CONNECTED(x, w, -)\n",
       {1, 20},
       false},
      {"dims flattened",
       "input x: float32[2,3,50]\nconst w: float32[20,50]\n"
       "y = FULLY_CONNECTED(x, w, -)\n",
       {6, 20},
       false},
      {"dims kept",
       "input x: float32[2,3,50]\nconst w: float32[20,50]\n"
       "const b: float32[20]\n"
       "y = FULLY_CONNECTED(x, w, b) {keep_num_dims=true}\n",
       {2, 3, 20},
       true},
      {"one column",
       "input x: float32[7,33]\nconst w: float32[1,33]\n"
       "y = FULLY_CONNECTED(x, w, -)\n",
       {7, 1},
       false},
      {"weights at run time",
       "input x: float32[9,50]\ninput w: float32[20,50]\n"
       "input b: float32[20]\ny = FULLY_CONNECTED(x, w, b)\n",
       {9, 20},
       true},
      {"a long sum",
       "input x: float32[5,4100]\nconst w: float32[70,4100]\n"
       "y = FULLY_CONNECTED(x, w, -)\n",
       {5, 70},
       false},
  };
  for (const auto& row : dense) {
    OpCase one;
    one.name = "FULLY_CONNECTED " + row.name;
    one.text = row.text + "output y\n";
    one.want = [out = row.out, bias = row.bias](const Arrays& t) {
      return std::vector{
          Dense(t.at("x"), t.at("w"), bias ? &t.at("b") : nullptr, out)};
    };
    one.bound = 1e-5;
    all.push_back(std::move(one));
  }
  const std::pair<const char*, const char*> products[] = {
      {"[2,5,7]", "[2,7,6]"},    {"[5,7]", "[7,6]"},
      {"[2,5,7]", "[1,7,6]"},    {"[5,7]", "[3,7,6]"},
      {"[2,1,5,7]", "[3,7,6]"},  {"[1,5,7]", "[2,7,6]"},
      {"[40,30,8]", "[40,8,9]"}, {"[1,1,300]", "[1,300,1]"}};
  for (const auto& [a, b] : products) {
    for (int adjoint = 0; adjoint < 4; ++adjoint) {
      const auto swap = [](std::string shape, bool is_swapped) {
        if (!is_swapped) return shape;
        // The last two numbers.
        const size_t last = shape.rfind(','), end = shape.size() - 1;
        const size_t before = shape.find_last_of(",[", last - 1) + 1;
        return shape.substr(0, before) +
               shape.substr(last + 1, end - last - 1) + "," +
               shape.substr(before, last - before) + "]";
      };
      const bool x = (adjoint & 1) != 0, y = (adjoint & 2) != 0;
      OpCase one;
      one.name = fmt::format("BATCH_MATMUL {} {}{}{}", a, b, x ? " adj_x" : "",
                             y ? " adj_y" : "");
      one.text = "input a: float32" + swap(a, x) + "\ninput b: float32" +
                 swap(b, y) + "\ny = BATCH_MATMUL(a, b)" +
                 fmt::format(" {{adj_x={} adj_y={}}}", x, y) + "\noutput y\n";
      one.want = [x, y](const Arrays& t) {
        const Array left = x ? Swapped(t.at("a")) : t.at("a");
        const Array right = y ? Swapped(t.at("b")) : t.at("b");
        return std::vector{Matmul(left, right)};
      };
      one.bound = 5e-6;
      all.push_back(std::move(one));
    }
  }
}

// Python's x[begin:end:step] of one axis; "open" ends as in Python.
struct Cut {
  int64_t begin = 0, end = 0, step = 1;
  bool open_begin = false, open_end = false;
};

std::vector<int64_t> CutIndices(Cut cut, int64_t n) {
  std::vector<int64_t> indices;
  const auto place = [&](int64_t v) {
    if (v < 0) v += n;
    return cut.step > 0 ? std::clamp<int64_t>(v, 0, n)
                        : std::clamp<int64_t>(v, -1, n - 1);
  };
  const int64_t begin =
      cut.open_begin ? (cut.step > 0 ? 0 : n - 1) : place(cut.begin);
  const int64_t end = cut.open_end ? (cut.step > 0 ? n : -1) : place(cut.end);
  for (int64_t i = begin; cut.step > 0 ? i < end : i > end; i += cut.step) {
    indices.push_back(i);
  }
  return indices;
}

Array TakeIndices(const Array& x,
                  const std::vector<std::vector<int64_t>>& axes) {
  Shape shape;
  for (const auto& axis : axes) {
    shape.push_back(static_cast<int32_t>(axis.size()));
  }
  return Pick(x, shape, [&](const Index& y) {
    Index from;
    for (size_t i = 0; i < y.size(); ++i) {
      from.push_back(axes[i][static_cast<size_t>(y[i])]);
    }
    return from;
  });
}

void AddSlices(std::vector<OpCase>& all) {
  const std::array<Cut, 2> pairs[] = {
      {{{1, 4}, {0, 6}}},
      {{{0, 5}, {2, 3}}},
      {{{-3, -1}, {-100, 100}}},
      {{{0, 5, 2}, {1, 6, 3}}},
      {{{4, 0, -1}, {5, -7, -2}}},
      {{{3, 1}, {0, 6}}},  // Nothing.
      {{{2, 0, 1, false, true}, {0, 4, 1, true, false}}},
      {{{0, 0, -2, true, true}, {0, 0, 1, true, true}}},
      {{{1, 2}, {0, 6}}},  // One run of memory.
  };
  for (size_t i = 0; i < std::size(pairs); ++i) {
    const auto& [a, b] = pairs[i];
    OpCase one;
    one.name = "STRIDED_SLICE " + std::to_string(i);
    one.text = fmt::format(
        "input x: float32[5,6]\nconst begin: int32[2] = {} {}\n"
        "const end: int32[2] = {} {}\nconst step: int32[2] = {} {}\n"
        "y = STRIDED_SLICE(x, begin, end, step) "
        "{{begin_mask={} end_mask={}}}\noutput y\n",
        a.begin, b.begin, a.end, b.end, a.step, b.step,
        a.open_begin + 2 * b.open_begin, a.open_end + 2 * b.open_end);
    one.want = [a = a, b = b](const Arrays& t) {
      return std::vector{
          TakeIndices(t.at("x"), {CutIndices(a, 5), CutIndices(b, 6)})};
    };
    all.push_back(std::move(one));
  }
  const auto cut = [](int64_t begin, int64_t end) {
    return CutIndices({begin, end}, 1000);
  };
  const struct {
    std::string name, fields, begin, end, step;
    std::vector<std::vector<int64_t>> axes;
    Shape shape;
  } masks[] = {
      {"ellipsis",
       "ellipsis_mask=2",
       "1 0 2",
       "2 0 5",
       "1 1 1",
       {{1}, cut(0, 3), cut(0, 4), cut(2, 5)},
       {1, 3, 4, 3}},
      {"ellipsis of nothing",
       "ellipsis_mask=16",
       "1 0 0 2 0",
       "2 3 4 5 0",
       "1 1 1 1 1",
       {{1}, cut(0, 3), cut(0, 4), cut(2, 5)},
       {1, 3, 4, 3}},
      {"ellipsis first",
       "ellipsis_mask=1",
       "0 1",
       "0 3",
       "1 1",
       {cut(0, 2), cut(0, 3), cut(0, 4), cut(1, 3)},
       {2, 3, 4, 2}},
      {"fewer entries than axes",
       "begin_mask=0",
       "1 1",
       "2 3",
       "1 1",
       {{1}, cut(1, 3), cut(0, 4), cut(0, 5)},
       {1, 2, 4, 5}},
      {"new axis",
       "new_axis_mask=2",
       "0 7 1",
       "2 9 3",
       "1 1 1",
       {cut(0, 2), cut(1, 3), cut(0, 4), cut(0, 5)},
       {2, 1, 2, 4, 5}},
      {"shrunk axes",
       "shrink_axis_mask=5",
       "-1 0 2",
       "0 3 3",
       "1 1 1",
       {{1}, cut(0, 3), {2}, cut(0, 5)},
       {3, 5}},
      {"everything",
       "ellipsis_mask=2 new_axis_mask=1 shrink_axis_mask=4",
       "0 0 -2",
       "1 0 0",
       "1 1 1",
       {cut(0, 2), cut(0, 3), cut(0, 4), {3}},
       {1, 2, 3, 4}},
      {"offset",
       "offset=true",
       "1 0 1 2",
       "1 3 2 3",
       "1 1 1 1",
       {{1}, cut(0, 3), cut(1, 3), cut(2, 5)},
       {1, 3, 2, 3}},
  };
  for (const auto& row : masks) {
    const auto n = 1 + std::ranges::count(row.begin, ' ');
    OpCase one;
    one.name = "STRIDED_SLICE " + row.name;
    one.text = fmt::format(
        "input x: float32[2,3,4,5]\nconst begin: int32[{0}] = {1}\n"
        "const end: int32[{0}] = {2}\nconst step: int32[{0}] = {3}\n"
        "y = STRIDED_SLICE(x, begin, end, step) {{{4}}}\noutput y\n",
        n, row.begin, row.end, row.step, row.fields);
    one.want = [axes = row.axes, shape = row.shape](const Arrays& t) {
      return std::vector{Reshaped(TakeIndices(t.at("x"), axes), shape)};
    };
    all.push_back(std::move(one));
  }
  const struct {
    const char *begin, *size;
    std::vector<std::vector<int64_t>> axes;
  } slices[] = {
      {"0 0 0", "4 5 6", {cut(0, 4), cut(0, 5), cut(0, 6)}},
      {"1 2 3", "2 2 2", {cut(1, 3), cut(2, 4), cut(3, 5)}},
      {"2 0 0", "1 5 6", {{2}, cut(0, 5), cut(0, 6)}},
      {"1 4 5", "-1 -1 -1", {cut(1, 4), {4}, {5}}},
      {"0 0 2", "4 5 0", {cut(0, 4), cut(0, 5), {}}},
  };
  for (const auto& row : slices) {
    OpCase one;
    one.name = fmt::format("SLICE {} size {}", row.begin, row.size);
    one.text = fmt::format(
        "input x: float32[4,5,6]\nconst begin: int32[3] = {}\n"
        "const size: int32[3] = {}\ny = SLICE(x, begin, size)\noutput y\n",
        row.begin, row.size);
    one.want = [axes = row.axes](const Arrays& t) {
      return std::vector{TakeIndices(t.at("x"), axes)};
    };
    all.push_back(std::move(one));
  }
}

Array Joined(const std::vector<Array>& parts, size_t axis) {
  Shape shape = parts[0].shape;
  shape[axis] = 0;
  for (const Array& part : parts) shape[axis] += part.shape[axis];
  return Make(shape, [&](Index i) {
    for (const Array& part : parts) {
      if (i[axis] < part.shape[axis]) return part.values[Flat(part.shape, i)];
      i[axis] -= part.shape[axis];
    }
    return 0.0;
  });
}

// Parts of these sizes along an axis.
std::vector<Array> Parted(const Array& x, size_t axis,
                          const std::vector<int32_t>& sizes) {
  std::vector<Array> parts;
  int64_t at = 0;
  for (const int32_t size : sizes) {
    Shape shape = x.shape;
    shape[axis] = size;
    parts.push_back(Pick(x, shape, [&](Index i) {
      i[axis] += at;
      return i;
    }));
    at += size;
  }
  return parts;
}

void AddJoins(std::vector<OpCase>& all) {
  for (const int axis : {0, 1, 2, -1, -3}) {
    const auto normal = static_cast<size_t>(axis < 0 ? axis + 3 : axis);
    const auto shape = [&](int32_t size) {
      Shape s = {2, 3, 4};
      s[normal] = size;
      return graph::ToString(s);
    };
    OpCase one;
    one.name = fmt::format("CONCATENATION axis {}", axis);
    one.text = fmt::format(
        "input a: float32{}\ninput b: float32{}\ninput c: float32{}\n"
        "d = ABS(b)\ny = CONCATENATION(a, d, c, a) {{axis={}}}\noutput y\n",
        shape(1), shape(5), shape(2), axis);
    one.want = [normal](const Arrays& t) {
      const Array b = Map(t.at("b"), [](double v) { return std::abs(v); });
      return std::vector{Joined({t.at("a"), b, t.at("c"), t.at("a")}, normal)};
    };
    all.push_back(std::move(one));

    one.name = fmt::format("SPLIT axis {}", axis);
    one.text = fmt::format(
        "input x: float32[6,6,6]\nconst axis: int32[] = {}\n"
        "a, b, c = SPLIT(axis, x) {{num_splits=3}}\n"
        "output a\noutput b\noutput c\n",
        axis);
    one.want = [normal](const Arrays& t) {
      return Parted(t.at("x"), normal, {2, 2, 2});
    };
    all.push_back(std::move(one));

    one.name = fmt::format("SPLIT_V axis {}", axis);
    one.text = fmt::format(
        "input x: float32[6,6,6]\nconst axis: int32[] = {}\n"
        "const sizes: int32[4] = 1 -1 0 2\n"
        "n = NEG(x)\n"
        "a, b, c, d = SPLIT_V(n, sizes, axis) {{num_splits=4}}\n"
        "output a\noutput b\noutput c\noutput d\n",
        axis);
    one.want = [normal](const Arrays& t) {
      return Parted(Map(t.at("x"), [](double v) { return -v; }), normal,
                    {1, 3, 0, 2});
    };
    all.push_back(std::move(one));

    one.name = fmt::format("UNPACK axis {}", axis);
    one.text = fmt::format(
        "input x: float32[2,2,2]\na, b = UNPACK(x) {{num=2 axis={}}}\n"
        "output a\noutput b\n",
        axis);
    one.want = [normal](const Arrays& t) {
      std::vector<Array> parts = Parted(t.at("x"), normal, {1, 1});
      for (Array& part : parts) {
        part.shape.erase(part.shape.begin() + static_cast<ptrdiff_t>(normal));
      }
      return parts;
    };
    all.push_back(std::move(one));
  }
  for (const int axis : {0, 1, 2, -1}) {
    const auto normal = static_cast<size_t>(axis < 0 ? axis + 3 : axis);
    OpCase one;
    one.name = fmt::format("PACK axis {}", axis);
    one.text = fmt::format(
        "input a: float32[3,4]\ninput b: float32[3,4]\n"
        "y = PACK(a, b, a) {{values_count=3 axis={}}}\noutput y\n",
        axis);
    one.want = [normal](const Arrays& t) {
      Shape one_more = {3, 4};
      one_more.insert(one_more.begin() + static_cast<ptrdiff_t>(normal), 1);
      return std::vector{
          Joined({Reshaped(t.at("a"), one_more), Reshaped(t.at("b"), one_more),
                  Reshaped(t.at("a"), one_more)},
                 normal)};
    };
    all.push_back(std::move(one));
  }
}

void AddMovement(std::vector<OpCase>& all) {
  const auto add = [&](std::string name, std::string text,
                       std::function<Array(const Array&)> want) {
    OpCase one;
    one.name = std::move(name);
    one.text = std::move(text) + "output y\n";
    one.want = [want = std::move(want)](const Arrays& t) {
      return std::vector{want(t.at("x"))};
    };
    all.push_back(std::move(one));
  };
  const auto to = [](const Shape& shape) {
    return [shape](const Array& x) { return Reshaped(x, shape); };
  };
  add("RESHAPE by tensor",
      "input x: float32[2,6]\nconst s: int32[3] = 3 -1 2\n"
      "y = RESHAPE(x, s)\n",
      to({3, 2, 2}));
  add("RESHAPE by option",
      "input x: float32[2,6]\ny = RESHAPE(x) {new_shape=[4,-1]}\n", to({4, 3}));
  add("RESHAPE to a scalar",
      "input x: float32[1,1]\nconst s: int32[0]\ny = RESHAPE(x, s)\n", to({}));
  add("EXPAND_DIMS front",
      "input x: float32[2,6]\nconst a: int32[] = 0\ny = EXPAND_DIMS(x, a)\n",
      to({1, 2, 6}));
  add("EXPAND_DIMS behind",
      "input x: float32[2,6]\nconst a: int32[] = -1\ny = EXPAND_DIMS(x, a)\n",
      to({2, 6, 1}));
  add("SQUEEZE all", "input x: float32[1,2,1,6,1]\ny = SQUEEZE(x)\n",
      to({2, 6}));
  add("SQUEEZE some",
      "input x: float32[1,2,1,6,1]\ny = SQUEEZE(x) {squeeze_dims=[0,-1]}\n",
      to({2, 1, 6}));
  const std::pair<Shape, std::vector<int32_t>> perms[] = {
      {{5, 7}, {1, 0}},
      {{5, 7}, {0, 1}},
      {{2, 3, 4}, {2, 0, 1}},
      {{2, 3, 4}, {0, 2, 1}},
      {{2, 3, 4}, {1, 0, 2}},
      {{2, 3, 4}, {2, 1, 0}},
      {{1, 3, 1, 4}, {2, 1, 0, 3}},
      {{2, 3, 4, 5}, {3, 1, 2, 0}},
      {{2, 1, 3, 2, 2}, {4, 3, 0, 1, 2}},
      {{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1},
       {9, 0, 8, 1, 7, 2, 6, 3, 5, 4, 10, 11, 12, 13, 14, 15}},
      {{60, 70}, {1, 0}},
      {{3}, {0}},
      {{2, 0, 3}, {2, 1, 0}}};
  for (const auto& [shape, order] : perms) {
    const std::string list = fmt::format("{}", fmt::join(order, " "));
    Shape out;
    for (const int32_t axis : order) {
      out.push_back(shape[static_cast<size_t>(axis)]);
    }
    add(fmt::format("TRANSPOSE {} by {}", graph::ToString(shape), list),
        fmt::format("input x: float32{}\nconst o: int32[{}] = {}\n"
                    "y = TRANSPOSE(x, o)\n",
                    graph::ToString(shape), order.size(), list),
        [out, order = order](const Array& x) {
          return Pick(x, out, [&](const Index& y) {
            Index from(y.size());
            for (size_t i = 0; i < y.size(); ++i) {
              from[static_cast<size_t>(order[i])] = y[i];
            }
            return from;
          });
        });
  }
  const std::pair<const char*, std::vector<int64_t>> pads[] = {
      {"1 2 0 3", {1, 2, 0, 3}},
      {"0 0 0 0", {0, 0, 0, 0}},
      {"0 0 2 0", {0, 0, 2, 0}},
      {"3 0 0 0", {3, 0, 0, 0}}};
  for (const auto& [list, p] : pads) {
    add(std::string("PAD ") + list,
        std::string("input x: float32[4,5]\nconst p: int32[2,2] = ") + list +
            "\ny = PAD(x, p)\n",
        [p = p](const Array& x) {
          const Shape shape = {static_cast<int32_t>(4 + p[0] + p[1]),
                               static_cast<int32_t>(5 + p[2] + p[3])};
          return Make(shape, [&](const Index& y) {
            const int64_t i = y[0] - p[0], j = y[1] - p[2];
            const bool inside = i >= 0 && i < 4 && j >= 0 && j < 5;
            return inside ? x.values[Flat(x.shape, {i, j})] : 0.0;
          });
        });
  }
  const std::pair<const char*, Shape> wide[] = {{"[4]", {3, 2, 4}},
                                                {"[2,1]", {3, 2, 4}},
                                                {"[1,2,4]", {3, 2, 4}},
                                                {"[]", {3, 2, 4}},
                                                {"[3,2,4]", {3, 2, 4}}};
  for (const auto& [shape, out] : wide) {
    add(std::string("BROADCAST_TO ") + shape,
        std::string("input x: float32") + shape +
            "\nconst s: int32[3] = 3 2 4\ny = BROADCAST_TO(x, s)\n",
        [out = out](const Array& x) {
          return Make(out, [&](const Index& y) { return At(x, y); });
        });
  }
  const std::pair<const char*, Shape> times[] = {{"1 1", {3, 4}},
                                                 {"2 1", {6, 4}},
                                                 {"1 3", {3, 12}},
                                                 {"2 3", {6, 12}},
                                                 {"0 2", {0, 8}}};
  for (const auto& [list, out] : times) {
    add(std::string("TILE ") + list,
        std::string("input x: float32[3,4]\nconst n: int32[2] = ") + list +
            "\ny = TILE(x, n)\n",
        [out = out](const Array& x) {
          return Pick(x, out,
                      [](const Index& y) { return Index{y[0] % 3, y[1] % 4}; });
        });
  }
  add("GATHER rows",
      "input x: float32[5,3]\nconst i: int32[4] = 4 0 0 2\n"
      "y = GATHER(x, i)\n",
      [](const Array& x) { return TakeIndices(x, {{4, 0, 0, 2}, {0, 1, 2}}); });
  add("GATHER columns with wide indices",
      "input x: float32[2,5,3]\nconst i: int64[2] = 3 1\n"
      "y = GATHER(x, i) {axis=1}\n",
      [](const Array& x) {
        return TakeIndices(x, {{0, 1}, {3, 1}, {0, 1, 2}});
      });
  add("GATHER last axis by a table of indices",
      "input x: float32[2,5]\nconst i: int32[2,2] = 3 1 0 4\n"
      "y = GATHER(x, i) {axis=-1}\n",
      [](const Array& x) {
        return Reshaped(TakeIndices(x, {{0, 1}, {3, 1, 0, 4}}), {2, 2, 2});
      });
  add("GATHER one value",
      "input x: float32[5,3]\nconst i: int32[] = 3\ny = GATHER(x, i)\n",
      [](const Array& x) {
        return Reshaped(TakeIndices(x, {{3}, {0, 1, 2}}), {3});
      });
  add("EMBEDDING_LOOKUP",
      "input x: float32[5,3]\nconst i: int32[3] = 1 4 1\n"
      "y = EMBEDDING_LOOKUP(i, x)\n",
      [](const Array& x) { return TakeIndices(x, {{1, 4, 1}, {0, 1, 2}}); });
  add("SHAPE", "input x: float32[5,0,3]\ny = SHAPE(x) {out_type=2}\n",
      [](const Array&) { return Array{{3}, {5, 0, 3}}; });
  add("RANK", "input x: float32[5,4,3]\ny = RANK(x)\n",
      [](const Array&) { return Array{{}, {3}}; });
}

// What moves values must not look at them: every width of element.
void AddTypes(std::vector<OpCase>& all) {
  for (const char* type :
       {"int8", "uint8", "int16", "int32", "int64", "float64", "bool"}) {
    OpCase one;
    one.name = std::string("TRANSPOSE of ") + type;
    one.text = fmt::format(
        "input x: {}[3,4]\nconst o: int32[2] = 1 0\nconst p: int32[2,2] = 1 0 "
        "0 2\nt = TRANSPOSE(x, o)\nj = CONCATENATION(t, t) {{axis=1}}\n"
        "y = PAD(j, p)\noutput y\n",
        type);
    one.want = [](const Arrays& t) {
      const Array& x = t.at("x");
      return std::vector{Make({5, 8}, [&](const Index& i) {
        if (i[0] == 0 || i[1] >= 6) return 0.0;
        return x.values[Flat(x.shape, {i[1] % 3, i[0] - 1})];
      })};
    };
    one.low = 0;
    one.high = std::string(type) == "bool" ? 1 : 100;
    all.push_back(std::move(one));
  }
}

double Truncated(double x, double low, double high) {
  return std::clamp(std::trunc(x), low, high);
}

void AddCasts(std::vector<OpCase>& all) {
  const struct {
    std::string from, to;
    double low, high;  // What is fed.
    std::function<double(double)> f;
  } rows[] = {
      {"float32", "int32", -1e6, 1e6, [](double x) { return std::trunc(x); }},
      {"float32", "int32", -1e11, 1e11,
       [](double x) { return Truncated(x, -2147483648.0, 2147483647.0); }},
      {"float32", "int64", -1e9, 1e9, [](double x) { return std::trunc(x); }},
      {"float32", "int8", -300, 300,
       [](double x) { return Truncated(x, -128, 127); }},
      {"float32", "uint8", -300, 600,
       [](double x) { return Truncated(x, 0, 255); }},
      {"float32", "int16", -9e4, 9e4,
       [](double x) { return Truncated(x, -32768, 32767); }},
      {"float32", "bool", -1, 1, [](double x) { return x != 0; }},
      {"float32", "float64", -9, 9, [](double x) { return x; }},
      {"float64", "float32", -9, 9,
       [](double x) { return static_cast<float>(x); }},
      {"int32", "float32", -1e6, 1e6, [](double x) { return x; }},
      {"int64", "float32", -1e6, 1e6, [](double x) { return x; }},
      {"int8", "float32", -128, 127, [](double x) { return x; }},
      {"uint8", "int32", 0, 255, [](double x) { return x; }},
      {"bool", "float32", 0, 1, [](double x) { return x; }},
      {"int32", "bool", -1, 1, [](double x) { return x != 0; }},
      {"int32", "uint8", -1000, 1000,
       [](double x) { return static_cast<uint8_t>(static_cast<int32_t>(x)); }},
      {"int32", "int64", -1e6, 1e6, [](double x) { return x; }},
      {"float32", "float32", -9, 9, [](double x) { return x; }},
  };
  const auto number = [](const std::string& name) {
    return static_cast<int>(*graph::TypeNamed(name));
  };
  for (const auto& row : rows) {
    OpCase one;
    one.name =
        fmt::format("CAST {} to {} up to {}", row.from, row.to, row.high);
    one.text = fmt::format(
        "input x: {0}[3,40]\n"
        "y: {1}[3,40] = CAST(x) {{in_data_type={2} out_data_type={3}}}\n"
        "output y\n",
        row.from, row.to, number(row.from), number(row.to));
    one.want = [f = row.f](const Arrays& t) {
      return std::vector{Map(t.at("x"), f)};
    };
    one.low = row.low;
    one.high = row.high;
    one.halves = row.to == "bool";
    all.push_back(std::move(one));
  }
}

const std::vector<OpCase>& Cases() {
  static const std::vector<OpCase> cases = [] {
    std::vector<OpCase> all;
    AddUnaries(all);
    AddBinaries(all);
    AddReductions(all);
    AddContractions(all);
    const size_t computed = all.size();
    AddSlices(all);
    AddJoins(all);
    AddMovement(all);
    AddTypes(all);
    AddCasts(all);
    for (size_t i = computed; i < all.size(); ++i) all[i].bound = 0;
    return all;
  }();
  return cases;
}

// --- Running a case
// ------------------------------------------------------------

template <typename T>
void Draw(std::span<T> to, const OpCase& one, std::mt19937& rng) {
  for (T& value : to) {
    const double u = static_cast<double>(rng()) / 4294967296.0;
    double x = one.low + u * (one.high - one.low);
    if (one.halves) x = std::nearbyint(x * 2) / 2;
    if (std::is_integral_v<T>) x = std::nearbyint(x);
    value = static_cast<T>(x);
  }
}

template <typename T>
std::vector<double> Widened(std::span<const std::byte> bytes) {
  std::vector<double> values;
  for (size_t i = 0; i < bytes.size() / sizeof(T); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    values.push_back(static_cast<double>(value));
  }
  return values;
}

template <typename F>
auto WithType(ElementType type, const F& f) {
  switch (type) {
    case ElementType::kFloat64:
      return f(double{});
    case ElementType::kInt8:
      return f(int8_t{});
    case ElementType::kUint8:
      return f(uint8_t{});
    case ElementType::kInt16:
      return f(int16_t{});
    case ElementType::kInt32:
      return f(int32_t{});
    case ElementType::kInt64:
      return f(int64_t{});
    case ElementType::kBool:
      return f(bool{});
    default:
      return f(float{});
  }
}

Array ToArray(const Shape& shape, ElementType type,
              std::span<const std::byte> bytes) {
  return {shape, WithType(type, [&](auto zero) {
            return Widened<decltype(zero)>(bytes);
          })};
}

// Random values for float constants whose values the text leaves out.
void FillConstants(graph::Graph& graph, const OpCase& one, std::mt19937& rng,
                   Arrays& arrays) {
  for (const graph::Tensor& tensor : graph.subgraphs[0].tensors) {
    if (!graph.IsConstant(tensor) || tensor.type != graph::Type::kFloat32) {
      continue;
    }
    std::vector<float> values(Count(tensor.shape));
    Draw(std::span(values), one, rng);
    const auto bytes = std::as_bytes(std::span(values));
    graph.buffers[tensor.buffer] = graph::MakeBuffer(bytes);
    arrays[tensor.name] = ToArray(tensor.shape, ElementType::kFloat32, bytes);
  }
}

void RunCase(const OpCase& one, const std::string& isa) {
  constexpr uint32_t kSeed = 17;
  std::mt19937 rng(kSeed);
  auto graph = graph::FromText("graph main\n" + one.text);
  ASSERT_TRUE(graph) << graph.error().message;
  Arrays arrays;
  FillConstants(*graph, one, rng, arrays);
  const auto model = OpenGraph(*graph);
  ASSERT_TRUE(model) << model.error().message;
  SessionOptions options;
  Threads threads(2);
  options.threads = &threads;
  options.isa = isa;
  auto session = Session::Create(*model, options);
  ASSERT_TRUE(session) << session.error().message;
  for (const TensorInfo& input : session->inputs()) {
    WithType(input.type, [&](auto zero) {
      Draw(*session->Input<decltype(zero)>(input.name), one, rng);
    });
    arrays[input.name] =
        ToArray(input.shape, input.type, *session->InputBytes(input.name));
  }
  const Status ran = session->Run();
  ASSERT_TRUE(ran) << ran.error().message;

  const std::vector<Array> want = one.want(arrays);
  ASSERT_EQ(session->outputs().size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    const TensorInfo& output = session->outputs()[i];
    EXPECT_EQ(output.shape, want[i].shape) << output.name;
    const auto bytes = session->OutputBytes(output.name);
    ASSERT_TRUE(bytes) << bytes.error().message;
    const Array got = ToArray(output.shape, output.type, *bytes);
    ASSERT_EQ(got.values.size(), want[i].values.size()) << output.name;
    double largest = 0;
    for (const double v : want[i].values) {
      largest = std::max(largest, std::abs(v));
    }
    for (const auto& [name, array] : arrays) {
      for (const double v : array.values) {
        largest = std::max(largest, std::abs(v));
      }
    }
    for (size_t k = 0; k < got.values.size(); ++k) {
      ASSERT_NEAR(got.values[k], want[i].values[k], one.bound * largest)
          << output.name << " value " << k;
    }
  }
  // Inputs keep what was put into them.
  for (const TensorInfo& input : session->inputs()) {
    const Array now =
        ToArray(input.shape, input.type, *session->InputBytes(input.name));
    EXPECT_EQ(now.values, arrays[input.name].values) << input.name;
  }
}

class Operators : public testing::TestWithParam<std::string> {};

TEST_P(Operators, GiveTheShapesAndValuesOfTheirDefinitions) {
  for (const OpCase& one : Cases()) {
    SCOPED_TRACE(one.name + "\n" + one.text);
    RunCase(one, GetParam());
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Operators, testing::ValuesIn(IsasHere()),
                         [](const auto& info) { return info.param; });

// The rest have cases beside their kernels and in control_test.cc.
TEST(OperatorCases, AreThereForEveryOperatorOfTheBasicGroups) {
  for (const auto group : {plan::ConvRows(), plan::MatmulRows(),
                           plan::ElementwiseRows(), plan::MovementRows()}) {
    for (const plan::OpRow& row : group) {
      const std::string name(graph::Name(row.code));
      // These in fixtures_test.cc and beside their kernels.
      if (name == "DEPTHWISE_CONV_2D" || name == "PRELU") continue;
      EXPECT_TRUE(std::ranges::any_of(Cases(), [&](const OpCase& one) {
        return one.name == name || one.name.starts_with(name + " ");
      })) << name;
    }
  }
}

}  // namespace
}  // namespace lathe
