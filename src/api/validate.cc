// Validation: two models run on the same samples, report/ compares.

#include "lathe/validate.hpp"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <future>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "lathe/compare.hpp"
#include "src/api/single_ops.h"
#include "src/api/state.h"
#include "src/base/mapped_file.h"
#include "src/report/accuracy.h"
#include "src/report/real_values.h"

namespace lathe {
namespace {

using Pair = std::pair<uint32_t, int32_t>;  // Subgraph and tensor.
using Partner = std::optional<size_t>;

// Of the float model's values that wait for the other's: enough to let the two
// run at once, little against the models.
constexpr uint64_t kWindowBytes = uint64_t{64} << 20;

template <typename T>
void QuantizeTo(std::span<const float> x, const QuantizationInfo& q,
                std::vector<std::byte>& bytes) {
  bytes.resize(x.size() * sizeof(T));
  const double scale = static_cast<double>(q.scales[0]);
  const double zero =
      q.zero_points.empty() ? 0 : static_cast<double>(q.zero_points[0]);
  for (size_t i = 0; i < x.size(); ++i) {
    const double real =
        std::nearbyint(static_cast<double>(x[i]) / scale) + zero;
    const double low = std::numeric_limits<T>::min();
    const double high = std::numeric_limits<T>::max();
    const T stored =
        std::isnan(real) ? T{0} : static_cast<T>(std::clamp(real, low, high));
    std::memcpy(bytes.data() + i * sizeof(T), &stored, sizeof(T));
  }
}

// Puts the value of an input of one session into the other's.
Status CopyInput(const Session& from, size_t i, Session& to, size_t j) {
  const TensorInfo& a = from.inputs()[i];
  const TensorInfo& b = to.inputs()[j];
  if (a.is_constant || b.is_constant) return {};
  const std::string name = fmt::format("#{}", j);
  LATHE_ASSIGN(const std::span<const std::byte> bytes,
               from.InputValue(fmt::format("#{}", i)));
  if (a.type == b.type) return to.SetInput(name, bytes);
  std::vector<float> space;
  const std::span<const float> real =
      report::RealValues({.info = a, .bytes = bytes, .strings = {}}, space);
  const QuantizationInfo& q = b.quantization;
  std::vector<std::byte> stored;
  if (b.type == ElementType::kFloat32 && real.size() * 4 > 0) {
    return to.SetInput(name, std::as_bytes(real));
  }
  if (a.type == ElementType::kFloat32 && q.scales.size() == 1) {
    if (b.type == ElementType::kInt8) QuantizeTo<int8_t>(real, q, stored);
    if (b.type == ElementType::kUint8) QuantizeTo<uint8_t>(real, q, stored);
    if (b.type == ElementType::kInt16) QuantizeTo<int16_t>(real, q, stored);
  }
  if (stored.empty() && !real.empty()) {
    return Invalid("input \"{}\" is {}, \"{}\" of the quantized model is {}",
                   a.name, Name(a.type), b.name, Name(b.type));
  }
  return to.SetInput(name, stored);
}

class Validation {
 public:
  // Of `all` samples.
  Validation(const Model& reference, const Model& quantized,
             const ValidateOptions& options, Threads& threads, uint64_t all)
      : reference_(reference),
        quantized_(quantized),
        options_(options),
        threads_(threads),
        all_(all) {
    const graph::Graph& graph = Of(reference);
    for (size_t s = 0; s < graph.subgraphs.size(); ++s) {
      report_.graphs.push_back(GraphName(graph, s));
      std::map<std::string, int> names;
      for (const graph::Tensor& t : graph.subgraphs[s].tensors) ++names[t.name];
      made_by_.emplace_back(graph.subgraphs[s].tensors.size(), -1);
      unique_.emplace_back();
      for (const graph::Tensor& t : graph.subgraphs[s].tensors) {
        unique_.back().push_back(!t.name.empty() && names[t.name] == 1);
      }
      const auto& ops = graph.subgraphs[s].ops;
      for (size_t i = 0; i < ops.size(); ++i) {
        for (const int32_t t : ops[i].outputs) {
          made_by_[s][static_cast<size_t>(t)] = static_cast<int32_t>(i);
        }
      }
    }
  }

  Status Run(const Samples& samples) {
    // Packing weights takes longer than a run, and one thread.
    auto quantized = std::async(std::launch::async, [&] {
      return Open(quantized_, samples.signature,
                  [this](const ObservedTensor& o) { Meet(o); });
    });
    LATHE_ASSIGN(Session r, Open(reference_, samples.signature,
                                 [this](const ObservedTensor& o) { Keep(o); }));
    LATHE_ASSIGN(Session t, quantized.get());
    if (r.inputs().size() != t.inputs().size()) {
      return Invalid("the float model has {} inputs, the quantized one {}",
                     r.inputs().size(), t.inputs().size());
    }
    const auto inputs = PartnersOf(r.inputs(), t.inputs());
    const auto outputs = PartnersOf(r.outputs(), t.outputs());
    if (!options_.outputs_only) PairTensors(r, t, outputs);
    for (uint64_t i = 0; i < samples.count; ++i) {
      if (Stopped(options_.stop)) {
        return Fail(ErrorCode::kInterrupted, "interrupted");
      }
      LATHE_TRY(samples.fill(r, i));
      LATHE_TRY(FitShapes(r, t, inputs));
      for (size_t j = 0; j < inputs.size(); ++j) {
        LATHE_TRY(CopyInput(r, j, t, *inputs[j]));
      }
      LATHE_TRY(RunBoth(r, t, i));
      for (size_t j = 0; j < outputs.size(); ++j) {
        LATHE_TRY(CompareOutput(samples.signature, r, j, t, outputs[j]));
      }
      ++report_.samples;
      if (options_.progress) options_.progress(report_.samples, all_);
    }
    return {};
  }

  // By name in the subgraph of the same number: the k-th with the k-th. May run
  // beside Run.
  void CompareConstants() {
    const graph::Graph& r = Of(reference_);
    const graph::Graph& t = Of(quantized_);
    const size_t count = std::min(r.subgraphs.size(), t.subgraphs.size());
    for (uint32_t s = 0; s < count; ++s) {
      std::map<std::string_view, std::deque<const graph::Tensor*>> by_name;
      for (const graph::Tensor& tensor : t.subgraphs[s].tensors) {
        if (IsPlainConstant(t, tensor)) by_name[tensor.name].push_back(&tensor);
      }
      const std::vector<graph::Tensor>& tensors = r.subgraphs[s].tensors;
      for (size_t i = 0; i < tensors.size(); ++i) {
        if (!IsPlainConstant(r, tensors[i])) continue;
        auto& same = by_name[tensors[i].name];
        if (same.empty()) continue;
        const graph::Tensor& other = *same.front();
        same.pop_front();
        if (tensors[i].type == graph::Type::kFloat32 &&
            !Stopped(options_.stop)) {
          CompareConstant({s, static_cast<int32_t>(i)}, t.subgraphs[s], other);
        }
      }
    }
  }

  ValidateReport Take() {
    for (auto& one : outputs_) report_.outputs.push_back(std::move(one));
    for (auto& one : tensors_) report_.tensors.push_back(std::move(one));
    report_.unmatched = unmatched_.size();
    return std::move(report_);
  }

 private:
  static const graph::Graph& Of(const Model& model) {
    return model.state()->graph;
  }
  static bool IsPlainConstant(const graph::Graph& graph,
                              const graph::Tensor& tensor) {
    return graph.IsConstant(tensor) && !tensor.name.empty() &&
           tensor.external_buffer == 0 && !tensor.sparsity &&
           report::ReaderOf(static_cast<ElementType>(tensor.type)) != nullptr;
  }

  void CompareConstant(Pair key, const graph::Subgraph& subgraph,
                       const graph::Tensor& t) {
    const graph::Tensor& r = Of(reference_)
                                 .subgraphs[key.first]
                                 .tensors[static_cast<size_t>(key.second)];
    const auto wanted = Of(reference_).BufferOf(r).bytes;
    const auto stored = Of(quantized_).BufferOf(t).bytes;
    if (r.type == t.type && std::ranges::equal(wanted, stored)) return;
    TensorAccuracy& row = report_.constants.emplace_back(Describe(key));
    row.role = TensorAccuracy::Role::kConstant;
    row.type = static_cast<ElementType>(t.type);
    const auto& ops = Of(reference_).subgraphs[key.first].ops;
    const auto reader = std::ranges::find_if(ops, [&](const graph::Op& op) {
      return std::ranges::find(op.inputs, key.second) != op.inputs.end();
    });
    if (reader != ops.end()) {
      row.op = static_cast<int32_t>(reader - ops.begin());
      row.op_type = TypeOf(*reader);
    }
    TensorValue value;
    value.bytes = stored;
    value.info =
        DescribeTensor(Of(quantized_), subgraph,
                       static_cast<int32_t>(&t - subgraph.tensors.data()), {});
    if (t.quantization &&
        t.quantization->details == graph::Quantization::Details::kBlockwise) {
      // Each block as a row with a scale.
      const graph::Quantization& q = *t.quantization;
      const auto block = static_cast<size_t>(q.block_size);
      const size_t rows = graph::ElementCount(t.shape) / block;
      TensorValue scales;
      scales.info =
          DescribeTensor(Of(quantized_), subgraph, q.scales_tensor, {});
      const graph::Tensor& from =
          subgraph.tensors[static_cast<size_t>(q.scales_tensor)];
      scales.bytes = Of(quantized_).BufferOf(from).bytes;
      std::vector<float> space;
      const auto real = report::RealValues(scales, space);
      if (real.size() != rows || q.zero_points_tensor > 0) {
        row.problem = "blocks whose scales do not fit";
        return;
      }
      value.info.shape = {static_cast<int32_t>(rows),
                          static_cast<int32_t>(block)};
      value.info.quantization = {
          .scales = {real.begin(), real.end()}, .zero_points = {}, .axis = 0};
    }
    std::vector<float> copy;
    TensorValue floats;
    floats.info = DescribeTensor(
        Of(reference_), Of(reference_).subgraphs[key.first], key.second, {});
    floats.bytes = wanted;
    Compare(row, report::RealValues(floats, copy),
            report::RealValues(value, constant_space_), constant_ratios_);
    if (reference_.state()->mapped) GiveBackPages(wanted);
    if (quantized_.state()->mapped) GiveBackPages(stored);
  }

  static std::string TypeOf(const graph::Op& op) {
    return op.custom_name.empty() ? std::string(graph::Name(op.code))
                                  : op.custom_name;
  }
  static std::string GraphName(const graph::Graph& graph, size_t subgraph) {
    if (!graph.subgraphs[subgraph].name.empty()) {
      return graph.subgraphs[subgraph].name;
    }
    for (const graph::Signature& each : graph.signatures) {
      if (each.subgraph == subgraph) return each.key;
    }
    return subgraph == 0 ? "main" : fmt::format("subgraph_{}", subgraph);
  }

  Result<Session> Open(const Model& model, const std::string& signature,
                       std::function<void(const ObservedTensor&)> observer) {
    SessionOptions options;
    options.signature = signature;
    options.threads = &threads_;
    options.isa = options_.isa;
    options.stop = options_.stop;
    if (!options_.outputs_only) options.on_tensor = std::move(observer);
    // Memory that the system has to clear costs more than packing again.
    constexpr uint64_t kFewSamples = 4;
    options.keep_packed = all_ > kFewSamples;
    return Session::Create(model, options);
  }

  static Status RunOne(Session& session, const char* which, uint64_t sample) {
    const Status ran = session.Run();
    if (ran) return {};
    return Fail(ran.error().code, "{} model, sample {}: {}", which, sample,
                ran.error().message);
  }

  // The two run in step, each on a thread: the quantized model waits for the
  // value that it is compared with, the float model while too much waits.
  Status RunBoth(Session& r, Session& t, uint64_t sample) {
    r_done_ = t_done_ = false;
    missing_.reset();
    const auto done = [this](bool& flag) {
      const std::lock_guard lock(mutex_);
      flag = true;
      moved_.notify_all();
    };
    Status of_t;
    std::thread other([&] {
      of_t = RunOne(t, "quantized", sample);
      done(t_done_);
    });
    Status of_r = RunOne(r, "float", sample);
    done(r_done_);
    other.join();
    kept_.clear();  // Rounds that the other loop did not make.
    held_bytes_ = 0;
    return of_r ? of_t : of_r;
  }

  // The other's inputs as large as these.
  static Status FitShapes(const Session& r, Session& t,
                          const std::vector<Partner>& partners) {
    std::vector<InputShape> shapes;
    for (size_t i = 0; i < partners.size(); ++i) {
      if (t.inputs()[*partners[i]].shape == r.inputs()[i].shape) continue;
      shapes.push_back({fmt::format("#{}", *partners[i]), r.inputs()[i].shape});
    }
    return shapes.empty() ? Status() : t.Resize(shapes);
  }

  // Which tensor of the float model each of the other is compared with: the
  // k-th of a name with the k-th. Outputs are compared at the end.
  void PairTensors(const Session& r, const Session& t,
                   const std::vector<Partner>& outputs) {
    to_reference_.clear();
    wanted_.clear();
    const uint32_t main_r = static_cast<uint32_t>(ViewOf(r).subgraph);
    const uint32_t main_t = static_cast<uint32_t>(ViewOf(t).subgraph);
    const auto numbers = [](const graph::Graph& graph, const graph::Tensor& x) {
      return !x.name.empty() && !graph.IsConstant(x) &&
             report::ReaderOf(static_cast<ElementType>(x.type)) != nullptr;
    };
    for (uint32_t s = 0; s < Of(reference_).subgraphs.size(); ++s) {
      const uint32_t other = s == main_r ? main_t : s;
      if (other >= Of(quantized_).subgraphs.size()) continue;
      std::map<std::string, std::deque<int32_t>> by_name;
      const auto& of_t = Of(quantized_).subgraphs[other].tensors;
      for (size_t i = 0; i < of_t.size(); ++i) {
        if (!numbers(Of(quantized_), of_t[i])) continue;
        by_name[of_t[i].name].push_back(static_cast<int32_t>(i));
      }
      const auto& of_r = Of(reference_).subgraphs[s].tensors;
      for (size_t i = 0; i < of_r.size(); ++i) {
        if (!numbers(Of(reference_), of_r[i])) continue;
        const Pair key{s, static_cast<int32_t>(i)};
        auto& same = by_name[of_r[i].name];
        if (same.empty()) {
          if (made_by_[s][i] >= 0) unmatched_.insert(key);
          continue;
        }
        to_reference_[{other, same.front()}] = key;
        wanted_.insert(key);
        same.pop_front();
      }
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      const Pair key{main_r, r.outputs()[i].index};
      unmatched_.erase(key);
      if (outputs[i]) wanted_.erase(key);
    }
  }

  // A value of the float model.
  void Keep(const ObservedTensor& seen) {
    const Pair key{seen.subgraph, seen.index};
    if (!wanted_.contains(key)) return;
    std::vector<float> value, space;
    const auto real = Real(reference_, seen, space);
    if (real.data() == space.data()) {
      value = std::move(space);
    } else {
      value.assign(real.begin(), real.end());
    }
    const uint64_t bytes = value.size() * sizeof(float);
    std::unique_lock lock(mutex_);
    // What the other waits for may come behind this one.
    moved_.wait(lock, [&] {
      return held_bytes_ == 0 || held_bytes_ + bytes <= kWindowBytes ||
             missing_ || t_done_;
    });
    if (missing_ == key) missing_.reset();
    held_bytes_ += bytes;
    report_.kept_bytes = std::max(report_.kept_bytes, held_bytes_);
    kept_[key].push_back(std::move(value));
    moved_.notify_all();
  }

  // The value of the quantized model for it.
  void Meet(const ObservedTensor& seen) {
    const auto found = to_reference_.find({seen.subgraph, seen.index});
    if (found == to_reference_.end() || !wanted_.contains(found->second)) {
      return;
    }
    const Pair key = found->second;
    std::vector<float> r;
    {
      std::unique_lock lock(mutex_);
      auto& rounds = kept_[key];
      if (rounds.empty()) {
        missing_ = key;
        moved_.notify_all();
        moved_.wait(lock, [&] { return !rounds.empty() || r_done_; });
        missing_.reset();
      }
      if (rounds.empty()) return;
      r = std::move(rounds.front());
      rounds.pop_front();
      held_bytes_ -= r.size() * sizeof(float);
      moved_.notify_all();
    }
    TensorAccuracy& row = RowOf(key);
    row.type = seen.type;
    Compare(row, r, Real(quantized_, seen, space_), ratios_);
  }

  static std::span<const float> Real(const Model& model,
                                     const ObservedTensor& seen,
                                     std::vector<float>& space) {
    TensorValue value;
    value.info = DescribeTensor(Of(model), Of(model).subgraphs[seen.subgraph],
                                seen.index, {});
    value.info.shape.assign(seen.shape.begin(), seen.shape.end());
    value.bytes = seen.bytes;
    return report::RealValues(value, space);
  }

  void Compare(TensorAccuracy& row, std::span<const float> r,
               std::span<const float> t, std::vector<float>& ratios) {
    if (r.size() != t.size()) {
      row.problem = fmt::format("{} values against {}", r.size(), t.size());
      return;
    }
    row.elements = r.size();
    const Accuracy one = report::MeasureAccuracy(r, t, &threads_.state()->pool,
                                                 ratios, &row.not_finite);
    report::AddComparison(one, row.comparisons++, row.mean, row.worst);
  }

  TensorAccuracy Describe(Pair key) const {
    const auto [s, index] = key;
    const graph::Subgraph& subgraph = Of(reference_).subgraphs[s];
    const auto at = static_cast<size_t>(index);
    TensorAccuracy row;
    row.name = row.tensor = subgraph.tensors[at].name;
    row.subgraph = s;
    row.index = index;
    row.op = made_by_[s][at];
    if (row.op >= 0) {
      const graph::Op& op = subgraph.ops[static_cast<size_t>(row.op)];
      row.op_type = TypeOf(op);
      row.node = unique_[s][at] ? row.tensor : std::to_string(row.op);
    } else {
      row.role = TensorAccuracy::Role::kInput;
    }
    return row;
  }

  TensorAccuracy& RowOf(Pair key) {
    const auto [at, is_new] = row_of_.try_emplace(key, tensors_.size());
    if (is_new) tensors_.push_back(Describe(key));
    return tensors_[at->second];
  }

  Status CompareOutput(const std::string& signature, const Session& r, size_t i,
                       const Session& t, Partner partner) {
    const TensorInfo& output = r.outputs()[i];
    const Pair key{static_cast<uint32_t>(ViewOf(r).subgraph), output.index};
    const auto [at, is_new] =
        output_of_.try_emplace({signature, i}, outputs_.size());
    if (is_new) {
      outputs_.push_back(Describe(key));
      outputs_.back().role = TensorAccuracy::Role::kOutput;
      outputs_.back().signature = signature;
      outputs_.back().name = output.name;
    }
    TensorAccuracy& row = outputs_[at->second];
    if (!partner) {
      row.problem = "the quantized model has no such output";
      return {};
    }
    const TensorInfo& other = t.outputs()[*partner];
    row.type = other.type;
    const auto values =
        [](const Session& session, const TensorInfo& info, size_t position,
           std::vector<float>& space) -> Result<std::span<const float>> {
      LATHE_ASSIGN(const std::span<const std::byte> bytes,
                   session.OutputBytes(fmt::format("#{}", position)));
      return report::RealValues({.info = info, .bytes = bytes, .strings = {}},
                                space);
    };
    if (report::ReaderOf(output.type) == nullptr ||
        report::ReaderOf(other.type) == nullptr) {
      row.problem = fmt::format("{} holds no numbers", Name(output.type));
      return {};
    }
    std::vector<float> space;
    LATHE_ASSIGN(const std::span<const float> x, values(r, output, i, space));
    LATHE_ASSIGN(const std::span<const float> y,
                 values(t, other, *partner, space_));
    Compare(row, x, y, ratios_);
    if (!row.problem.empty() || !options_.on_output) return {};
    return options_.on_output(output, x, y);
  }

  const Model& reference_;
  const Model& quantized_;
  const ValidateOptions& options_;
  Threads& threads_;
  const uint64_t all_;
  std::vector<std::vector<int32_t>> made_by_;  // By subgraph, by tensor.
  std::vector<std::vector<bool>> unique_;      // Names; the same.
  std::map<Pair, Pair> to_reference_;
  std::set<Pair> wanted_, unmatched_;
  // Both threads' while models run, under the mutex.
  std::mutex mutex_;
  std::condition_variable moved_;
  std::map<Pair, std::deque<std::vector<float>>> kept_;  // By round.
  uint64_t held_bytes_ = 0;
  std::optional<Pair> missing_;  // What the quantized model waits for.
  bool r_done_ = false, t_done_ = false;
  std::vector<float> space_, ratios_;
  std::vector<float> constant_space_, constant_ratios_;
  std::deque<TensorAccuracy> outputs_, tensors_;
  std::map<Pair, size_t> row_of_;
  std::map<std::pair<std::string, size_t>, size_t> output_of_;
  ValidateReport report_;
};

}  // namespace

Result<ValidateReport> Validate(const std::string& reference,
                                const std::string& quantized,
                                std::span<const Samples> data,
                                const ValidateOptions& options) {
  return Guarded([&]() -> Result<ValidateReport> {
    uint64_t all = 0;
    for (const Samples& each : data) all += each.count;
    if (all == 0) {
      return Invalid("{}: no samples; validation needs at least one",
                     reference);
    }
    LATHE_ASSIGN(const Model r,
                 OpenUnchanged(reference, options.memory_limit_bytes));
    LATHE_ASSIGN(const Model t,
                 OpenUnchanged(quantized, options.memory_limit_bytes));
    std::optional<Threads> own;
    if (options.threads == nullptr) own.emplace();
    Threads threads = own ? *own : *options.threads;
    Validation validation(r, t, options, threads, all);
    // While weights are packed, which takes one thread.
    std::future<void> constants;
    if (!options.outputs_only) {
      constants = std::async(std::launch::async,
                             [&] { validation.CompareConstants(); });
    }
    for (const Samples& each : data) {
      if (each.count > 0) LATHE_TRY(validation.Run(each));
    }
    if (constants.valid()) constants.get();
    ValidateReport report = validation.Take();
    report.reference_bytes = r.state()->file.size();
    report.quantized_bytes = t.state()->file.size();
    return report;
  });
}

}  // namespace lathe
