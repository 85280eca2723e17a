// Calibration: quant/ keeps what run/ shows.

#include "lathe/calibrate.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <streambuf>
#include <utility>

#include "src/api/single_ops.h"
#include "src/api/state.h"
#include "src/format/tflite/sink.h"
#include "src/quant/calibration.h"
#include "src/quant/calibration_file.h"

namespace lathe {
namespace {

// A stream into a file that appears complete.
class SinkBuffer : public std::streambuf {
 public:
  explicit SinkBuffer(format::FileSink& sink) : sink_(sink) {}
  const Status& status() const { return status_; }

 protected:
  std::streamsize xsputn(const char* text, std::streamsize size) override {
    if (!status_) return 0;
    status_ =
        sink_.Write(std::as_bytes(std::span(text, static_cast<size_t>(size))));
    return status_ ? size : 0;
  }
  int_type overflow(int_type c) override {
    const char one = traits_type::to_char_type(c);
    return xsputn(&one, 1) == 1 ? c : traits_type::eof();
  }

 private:
  format::FileSink& sink_;
  Status status_;
};

// What is remembered of the tensors of one name.
struct Entry {
  Entry(std::string tensor, quant::RangeOptions options)
      : name(std::move(tensor)), range(options) {}

  std::string name;
  int rank = 0;
  size_t width = 0;  // Of the last dim, once known.
  quant::RangeObserver range;
  std::optional<quant::SecondMoments> moments;
  std::optional<quant::HessianSum> hessian;
  std::vector<double> mu2;  // Of `moments`, at the end.
  std::vector<float> h;     // Of `hessian`, at the end.
};

bool AllFinite(std::span<const float> x) {
  return std::ranges::all_of(x, [](float v) { return std::isfinite(v); });
}

class Calibration {
 public:
  Calibration(const graph::Graph& graph, const CalibrateOptions& options,
              ThreadPool* pool)
      : graph_(graph), options_(options), pool_(pool) {
    range_.rule = static_cast<quant::RangeRule>(options.method);
    range_.percentile = options.percentile;
    for (const graph::Subgraph& subgraph : graph.subgraphs) {
      by_tensor_.emplace_back(subgraph.tensors.size());
      reached_.push_back(subgraph.ops.empty());
      if (!options.moments && !options.hessians) continue;
      for (const graph::Op& op : subgraph.ops) {
        if (op.code != graph::OpCode::kFullyConnected) continue;
        if (op.inputs.empty() || op.inputs[0] < 0) continue;
        products_.insert(
            subgraph.tensors[static_cast<size_t>(op.inputs[0])].name);
      }
    }
  }

  void See(const ObservedTensor& seen) {
    reached_[seen.subgraph] = true;
    if (seen.type != ElementType::kFloat32 || !status_) return;
    const graph::Tensor& tensor = graph_.subgraphs[seen.subgraph]
                                      .tensors[static_cast<size_t>(seen.index)];
    // Nobody could ask for a tensor without a name.
    if (tensor.name.empty() || graph_.IsConstant(tensor)) return;
    Entry*& entry = by_tensor_[seen.subgraph][static_cast<size_t>(seen.index)];
    if (entry == nullptr) entry = Find(tensor.name);
    const std::span<const float> x(
        reinterpret_cast<const float*>(seen.bytes.data()),
        seen.bytes.size() / sizeof(float));
    entry->rank = std::max(entry->rank, static_cast<int>(seen.shape.size()));
    entry->range.Add(x);
    if (products_.contains(entry->name)) status_ = AddProduct(*entry, seen, x);
  }

  const Status& status() const { return status_; }

  // The first tensor whose range JSON could not hold.
  Status CheckRanges() const {
    for (const Entry& entry : entries_) {
      const quant::ValueRange range = entry.range.Range();
      if (std::isfinite(range.low) && std::isfinite(range.high)) continue;
      return Invalid(
          "tensor \"{}\": its values reach from {} to {}, {} NaN in {} runs; "
          "it is the first of those that are not finite",
          entry.name, range.low, range.high, entry.range.nans(),
          entry.range.samples());
    }
    return {};
  }

  CalibrateReport Report(uint64_t samples) const {
    CalibrateReport report;
    report.samples = samples;
    const bool counts = range_.rule == quant::RangeRule::kPercentile ||
                        range_.rule == quant::RangeRule::kEntropy;
    for (const Entry& entry : entries_) {
      const quant::ValueRange range = entry.range.Range();
      report.tensors.push_back({entry.name, range.low, range.high,
                                entry.range.samples(), entry.range.nans()});
      report.moments += entry.moments.has_value();
      report.hessians += entry.hessian.has_value();
      report.statistics_bytes += sizeof(Entry);
      if (counts) {
        report.statistics_bytes += 2 * quant::Histogram::kSide * 8;
      }
      if (entry.moments) report.statistics_bytes += entry.width * 8;
    }
    report.statistics_bytes += hessian_bytes_;
    for (size_t i = 0; i < reached_.size(); ++i) {
      if (reached_[i]) continue;
      const std::string& name = graph_.subgraphs[i].name;
      report.not_reached.push_back(name.empty() ? fmt::format("subgraph {}", i)
                                                : name);
    }
    return report;
  }

  Status Write(const std::string& path, uint64_t samples) {
    std::vector<quant::CalibratedTensor> tensors;
    for (Entry& entry : entries_) {
      quant::CalibratedTensor tensor{
          .name = entry.name, .rank = entry.rank, .range = entry.range.Range()};
      if (entry.moments) {
        tensor.num_samples = entry.moments->samples();
        entry.mu2 = entry.moments->Mean();
        tensor.mu2 = entry.mu2;
      }
      if (entry.hessian) {
        tensor.num_samples = entry.hessian->samples();
        entry.h = entry.hessian->Take();
        tensor.hessian = entry.h;
      }
      tensors.push_back(std::move(tensor));
    }
    format::FileSink sink(path);
    LATHE_TRY(sink.Open());
    SinkBuffer buffer(sink);
    std::ostream out(&buffer);
    const Status written = quant::WriteCalibration(
        tensors, static_cast<int64_t>(samples),
        {{"method", std::string(Name(options_.method))}, {"tool", "lathe"}},
        out);
    LATHE_TRY(buffer.status());
    LATHE_TRY(written);
    return sink.Commit();
  }

 private:
  Entry* Find(const std::string& name) {
    Entry*& entry = by_name_[name];
    if (entry == nullptr) entry = &entries_.emplace_back(name, range_);
    return entry;
  }

  Status AddProduct(Entry& entry, const ObservedTensor& seen,
                    std::span<const float> x) {
    if (seen.shape.empty()) return {};
    const auto width = static_cast<size_t>(seen.shape.back());
    if (entry.width == 0) {
      entry.width = width;
      if (options_.moments) entry.moments.emplace(width);
      if (options_.hessians) {
        hessian_bytes_ += uint64_t{width} * width * sizeof(float);
        if (hessian_bytes_ > options_.hessian_limit_bytes) {
          return Invalid(
              "tensor \"{}\" of width {}: all Hessians up to here need {} "
              "bytes, their limit is {}",
              entry.name, width, hessian_bytes_, options_.hessian_limit_bytes);
        }
        entry.hessian.emplace(width, pool_);
      }
    }
    if (width != entry.width) {
      return Invalid("tensor \"{}\": its last dim was {} and is {}", entry.name,
                     entry.width, width);
    }
    if (!AllFinite(x)) {
      return Invalid("tensor \"{}\" holds a value that is not finite",
                     entry.name);
    }
    if (entry.moments) entry.moments->Add(x, seen.shape.front());
    if (entry.hessian) entry.hessian->Add(x, seen.shape.front());
    return {};
  }

  const graph::Graph& graph_;
  const CalibrateOptions& options_;
  ThreadPool* pool_;
  quant::RangeOptions range_;
  std::set<std::string> products_;  // Inputs of FULLY_CONNECTED.
  std::deque<Entry> entries_;       // In the order in which they were seen.
  std::map<std::string, Entry*> by_name_;
  std::vector<std::vector<Entry*>> by_tensor_;  // By subgraph, by tensor.
  std::vector<bool> reached_;                   // By subgraph.
  uint64_t hessian_bytes_ = 0;
  Status status_;
};

}  // namespace

std::string_view Name(CalibrationMethod method) {
  switch (method) {
    case CalibrationMethod::kMovingAverage:
      return "moving-average";
    case CalibrationMethod::kPercentile:
      return "percentile";
    case CalibrationMethod::kEntropy:
      return "entropy";
    default:
      return "minmax";
  }
}

std::span<const CalibrationMethod> CalibrationMethods() {
  static constexpr CalibrationMethod kAll[] = {
      CalibrationMethod::kMinMax, CalibrationMethod::kMovingAverage,
      CalibrationMethod::kPercentile, CalibrationMethod::kEntropy};
  return kAll;
}

Result<CalibrateReport> Calibrate(const std::string& model,
                                  std::span<const Samples> data,
                                  const std::string& out,
                                  const CalibrateOptions& options) {
  return Guarded([&]() -> Result<CalibrateReport> {
    uint64_t samples = 0;
    for (const Samples& each : data) samples += each.count;
    if (samples == 0) {
      return Invalid("{}: no samples; calibration needs at least one", model);
    }
    LATHE_ASSIGN(const Model opened,
                 OpenUnchanged(model, options.memory_limit_bytes));
    std::optional<Threads> own;
    if (options.threads == nullptr) own.emplace();
    Threads threads = own ? *own : *options.threads;
    Calibration calibration(opened.state()->graph, options,
                            &threads.state()->pool);
    uint64_t done = 0;
    for (const Samples& each : data) {
      if (each.count == 0) continue;
      SessionOptions session_options;
      session_options.signature = each.signature;
      session_options.threads = &threads;
      session_options.isa = options.isa;
      session_options.stop = options.stop;
      session_options.on_tensor = [&](const ObservedTensor& seen) {
        calibration.See(seen);
      };
      LATHE_ASSIGN(Session session, Session::Create(opened, session_options));
      for (uint64_t i = 0; i < each.count; ++i) {
        if (Stopped(options.stop)) {
          return Fail(ErrorCode::kInterrupted, "interrupted");
        }
        LATHE_TRY(each.fill(session, i));
        if (const Status ran = session.Run(); !ran) {
          return Fail(ran.error().code, "sample {}: {}", i,
                      ran.error().message);
        }
        if (!calibration.status()) {
          return Fail(calibration.status().error().code, "sample {}: {}", i,
                      calibration.status().error().message);
        }
        if (options.progress) options.progress(++done, samples);
      }
    }
    LATHE_TRY(calibration.CheckRanges());
    CalibrateReport report = calibration.Report(samples);
    if (!out.empty()) LATHE_TRY(calibration.Write(out, samples));
    return report;
  });
}

}  // namespace lathe
