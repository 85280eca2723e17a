// Lathe's C++ API: open a .tflite model, make a session, run it.
//
//   auto model = lathe::Model::Open("model.tflite");
//   auto session = lathe::Session::Create(*model);
//   auto x = session->Input<float>("x");          // a span to fill
//   std::ranges::fill(*x, 1.0f);
//   session->Run();
//   auto y = session->Output<float>("y");         // a span to read
//
// Nothing here throws, aborts or prints on bad input; every call that can fail
// returns a Result. examples/run_model.cc is the whole of it with errors.

#ifndef LATHE_LATHE_HPP_
#define LATHE_LATHE_HPP_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/result.h"

#define LATHE_EXPORT __attribute__((visibility("default")))

namespace lathe {

// The numbers are those of the .tflite format.
enum class ElementType : uint8_t {
  kFloat32 = 0,
  kFloat16 = 1,
  kInt32 = 2,
  kUint8 = 3,
  kInt64 = 4,
  kString = 5,
  kBool = 6,
  kInt16 = 7,
  kComplex64 = 8,
  kInt8 = 9,
  kFloat64 = 10,
  kComplex128 = 11,
  kUint64 = 12,
  kResource = 13,
  kVariant = 14,
  kUint32 = 15,
  kUint16 = 16,
  kInt4 = 17,
  kBfloat16 = 18,
  kInt2 = 19,
  kUint4 = 20,
};

// "float32", "int8" ...
LATHE_EXPORT std::string_view Name(ElementType type);

template <typename T>
inline constexpr bool kHasElementType = false;
template <typename T>
inline constexpr ElementType kElementTypeOf = ElementType::kFloat32;
#define LATHE_ELEMENT(cpp, value)                    \
  template <>                                        \
  inline constexpr bool kHasElementType<cpp> = true; \
  template <>                                        \
  inline constexpr ElementType kElementTypeOf<cpp> = ElementType::value;
LATHE_ELEMENT(float, kFloat32)
LATHE_ELEMENT(double, kFloat64)
LATHE_ELEMENT(int8_t, kInt8)
LATHE_ELEMENT(uint8_t, kUint8)
LATHE_ELEMENT(int16_t, kInt16)
LATHE_ELEMENT(uint16_t, kUint16)
LATHE_ELEMENT(int32_t, kInt32)
LATHE_ELEMENT(uint32_t, kUint32)
LATHE_ELEMENT(int64_t, kInt64)
LATHE_ELEMENT(uint64_t, kUint64)
LATHE_ELEMENT(bool, kBool)
#undef LATHE_ELEMENT

// real = scale * (integer - zero_point); one scale, or one per index of `axis`.
struct QuantizationInfo {
  std::vector<float> scales;  // Empty: the tensor is not quantized.
  std::vector<int64_t> zero_points;
  int32_t axis = 0;
};

struct TensorInfo {
  std::string name;    // The signature's name, else the tensor's own.
  std::string tensor;  // The tensor's own name.
  int32_t index = 0;   // The tensor's number in its subgraph.
  ElementType type = ElementType::kFloat32;
  std::vector<int32_t>
      shape;  // As it is now in a session; as stored in a model.
  // Empty, or one entry per dim with -1 where Resize may change it.
  std::vector<int32_t> shape_signature;
  QuantizationInfo quantization;
  bool is_constant = false;  // An input whose value is stored in the file.
};

struct SignatureInfo {
  std::string key;  // Empty for subgraph 0 of a model without signatures.
  uint32_t subgraph = 0;
  std::vector<TensorInfo> inputs, outputs;
};

// A pool of threads that any number of sessions may share; sessions that run
// at the same time take turns, step by step. Copies are the same pool.
class LATHE_EXPORT Threads {
 public:
  // 0: one per physical core this process may use. Counts the caller.
  explicit Threads(int count = 0);
  int count() const;

  struct State;
  State* state() const { return state_.get(); }

 private:
  std::shared_ptr<State> state_;
};

struct ModelOptions {
  // Most bytes of arena and run-time tensors of one session; a model that
  // needs more is refused by Session::Create and Resize, naming the tensor.
  uint64_t memory_limit_bytes = uint64_t{2} << 30;
  // Passes to leave out, by name.
  std::vector<std::string> skip_passes;
};

// A graph with its weights: immutable, cheap to copy (copies share), usable
// from any thread. Weights stay mapped from the file until a session packs
// them; packed weights are shared by the model's sessions.
class LATHE_EXPORT Model {
 public:
  // Errors: kInvalidInput listing every problem of the file; kUnsupported
  // naming every operator this build cannot run; kSystem.
  static Result<Model> Open(const std::string& path,
                            const ModelOptions& options = {});
  // Takes the bytes; `name` stands for the path in errors.
  static Result<Model> FromMemory(std::vector<std::byte> bytes,
                                  const std::string& name = "model",
                                  const ModelOptions& options = {});

  // At least one; the first is the default of a session.
  std::span<const SignatureInfo> signatures() const;

  // XXH3 of the file's bytes: what the model is, wherever it lies. Reads the
  // whole file on first use.
  Result<uint64_t> ContentHash() const;

  struct State;
  const std::shared_ptr<State>& state() const { return state_; }

 private:
  explicit Model(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

// A new shape for an input.
struct InputShape {
  std::string name;  // As for Session::Input.
  std::vector<int32_t> shape;
};

// One thing that a plan runs, for profilers.
struct StepInfo {
  std::string name;    // "CONV_2D", "layer_norm", ...
  std::string tensor;  // Name of its first output.
  std::string kernel;  // "conv_f32_6x64_avx512", ...
  uint64_t flops = 0;  // Multiply and add count as two; 0 if not counted.
};

// A step inside a branch, a loop's body or another called subgraph.
struct InnerStep {
  uint32_t subgraph = 0;
  size_t step = 0;                        // Counted in that subgraph.
  std::string_view name, tensor, kernel;  // As in StepInfo.
  uint64_t flops = 0;
};

class Session;

// A value as soon as it is there; of an input, before the first operator.
struct ObservedTensor {
  uint32_t subgraph = 0;
  int32_t index = 0;  // The tensor's number in the subgraph.
  ElementType type = ElementType::kFloat32;
  std::span<const int32_t> shape;
  std::span<const std::byte> bytes;  // Of packed strings too; never empty.
};

struct SessionOptions {
  // Empty: subgraph 0, with inputs and outputs in the order of its own lists,
  // under the names of the first signature where that is one of subgraph 0.
  std::string signature;
  Threads* threads = nullptr;  // Null: a pool of its own, Threads(0).
  std::string isa;  // Use nothing above this level; empty: the CPU's best.
  // Looked at between steps and tiles; when true, Run returns kInterrupted.
  const std::atomic<bool>* stop = nullptr;
  // Called after each step with its index in steps() and its time. Runs on the
  // caller's thread; must not call the session.
  std::function<void(size_t step, double milliseconds)> on_step;
  // The same of steps that one of those runs, each time; what the views show is
  // valid until the call returns.
  std::function<void(const InnerStep& step, double milliseconds)> on_inner_step;
  // Runs every operator on its own and keeps every result for Tensor(): slow,
  // for looking at a model.
  bool keep_all = false;
  // Runs every operator on its own and shows every value that it makes, those
  // inside the bodies of IF and WHILE each time, without keeping them: what
  // the spans show is valid until the call returns. Stored constants are not
  // shown. Runs on the caller's thread; must not call the session.
  std::function<void(const ObservedTensor&)> on_tensor;
  // False: float32 weights of FULLY_CONNECTED are packed anew in each run, into
  // memory that all layers share, in place of once: for few runs of a large
  // model. Results are the same.
  bool keep_packed = true;
  // A session of the same model whose resources (VAR_HANDLE) this one shares,
  // such as that of the signature that fills them; it may go first. The two are
  // then used by one thread at a time. Null: resources of its own.
  const Session* resources_of = nullptr;
};

struct SessionStats {
  uint64_t arena_bytes = 0;   // Activations and scratch.
  uint64_t packed_bytes = 0;  // Packed weights of the model so far.
  size_t peak_step = 0;       // The step that needs the arena's full size.
};

// A plan with its own arena. One thread at a time. Keeps its model alive.
class LATHE_EXPORT Session {
 public:
  // Errors: kUsage for an unknown signature or ISA (naming those there are);
  // kUnsupported for an ISA this CPU lacks and operators without a kernel, all
  // of them at once; kInvalidInput beyond the memory limit.
  static Result<Session> Create(const Model& model,
                                const SessionOptions& options = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  std::span<const TensorInfo> inputs() const;
  std::span<const TensorInfo> outputs() const;

  // The memory of an input (by name, or "#2" by position), to be filled before
  // Run; kept between runs, and never written by them. Spans are valid until
  // Resize. Errors: kUsage for an unknown name or another element type, naming
  // what there is; kInvalidInput for a stored constant and for strings.
  template <typename T>
  Result<std::span<T>> Input(std::string_view name) {
    static_assert(kHasElementType<T>);
    auto bytes = InputBytes(name, kElementTypeOf<T>);
    if (!bytes) return std::unexpected(std::move(bytes).error());
    return std::span<T>(reinterpret_cast<T*>(bytes->data()),
                        bytes->size() / sizeof(T));
  }
  // The memory of an output; what it holds is defined after Run, until the
  // next Run or Resize.
  template <typename T>
  Result<std::span<const T>> Output(std::string_view name) const {
    static_assert(kHasElementType<T>);
    auto bytes = OutputBytes(name, kElementTypeOf<T>);
    if (!bytes) return std::unexpected(std::move(bytes).error());
    return std::span<const T>(reinterpret_cast<const T*>(bytes->data()),
                              bytes->size() / sizeof(T));
  }
  // The same without a check of the element type.
  Result<std::span<std::byte>> InputBytes(std::string_view name);
  Result<std::span<const std::byte>> OutputBytes(std::string_view name) const;

  // The value of an input, stored constants and packed strings among them; they
  // must not be written.
  Result<std::span<const std::byte>> InputValue(std::string_view name) const;

  // Copies a value into an input; for strings the format's packed bytes. A
  // stored constant takes its own value and no other. Errors: kInvalidInput for
  // another size or another constant.
  Status SetInput(std::string_view name, std::span<const std::byte> bytes);

  // STRING tensors, row-major. Setting needs as many strings as the input has
  // elements.
  Status SetStrings(std::string_view name,
                    std::span<const std::string> strings);
  Result<std::vector<std::string>> Strings(std::string_view name) const;

  // With keep_all: the value of any tensor of the subgraph after Run, by its
  // number (TensorInfo::index). Empty for one that was never made.
  std::span<const std::byte> Tensor(int32_t index) const;
  // Name, type and shape of every tensor of the subgraph.
  std::vector<TensorInfo> tensors() const;

  // Gives an input a new shape: dims that are -1 in its shape_signature may
  // change. Plans again; inputs' contents are lost and variables start anew;
  // resources stay. On an error the session stays as it was.
  Status Resize(std::string_view name, std::span<const int32_t> shape);
  // Several inputs at once, where one alone would not fit the others.
  Status Resize(std::span<const InputShape> shapes);

  // Computes the outputs. Allocates nothing, except in control flow, for
  // strings and where shapes depend on values. The result does not depend on
  // the number of threads. Variables keep their state between runs. Errors:
  // kInvalidInput for values (such as an index out of range), kInterrupted.
  Status Run();

  // Variables and resources as they were before the first run.
  Status ResetState();

  std::span<const StepInfo> steps() const;
  SessionStats stats() const;

  struct State;
  const State& state() const { return *state_; }

 private:
  explicit Session(std::unique_ptr<State> state);
  Result<std::span<std::byte>> InputBytes(std::string_view name,
                                          ElementType type);
  Result<std::span<const std::byte>> OutputBytes(std::string_view name,
                                                 ElementType type) const;
  std::unique_ptr<State> state_;
};

}  // namespace lathe

#endif  // LATHE_LATHE_HPP_
