// What is expected against what is there, and constants that read it.

#include "src/import/weights.h"

#include <algorithm>

namespace lathe::importer {
namespace {

std::string Words(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ","));
}

void Append(std::string& text, std::string_view title,
            const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  text += fmt::format("\n {} {}:", lines.size(), title);
  for (const std::string& line : lines) text += "\n  " + line;
}

bool IsFloating(format::CheckpointType type) {
  using enum format::CheckpointType;
  return type == kFloat32 || type == kFloat16 || type == kBfloat16 ||
         type == kFloat64;
}

}  // namespace

TensorSource SourceOf(std::shared_ptr<const format::Checkpoint> checkpoint) {
  TensorSource source;
  for (const auto& [name, tensor] :
       format::NormalizeNames(*checkpoint).tensors) {
    SourceTensor entry;
    entry.shape = tensor->shape;
    if (!IsFloating(tensor->type)) entry.unusable = Name(tensor->type);
    entry.read = [checkpoint, tensor = tensor](uint64_t first,
                                               std::span<float> out) {
      return checkpoint->ReadFloats(*tensor, first, out);
    };
    entry.done = [checkpoint, tensor = tensor] {
      checkpoint->GiveBack(*tensor);
    };
    source.emplace(name, std::move(entry));
  }
  return source;
}

SourceTensor Weights::Need(const std::string& name,
                           std::vector<int64_t> shape) {
  const bool again = !used_.insert(name).second;
  const auto found = source_.find(name);
  if (found == source_.end()) {
    if (!again) {
      missing_.push_back(fmt::format("{} {}", name, Words(shape)));
    }
  } else if (found->second.shape != shape) {
    if (!again) {
      misshapen_.push_back(fmt::format("{}: found {}, expected {}", name,
                                       Words(found->second.shape),
                                       Words(shape)));
    }
  } else if (!found->second.unusable.empty()) {
    if (!again) {
      misshapen_.push_back(fmt::format(
          "{}: found {}, expected float32, float16, bfloat16 or float64", name,
          found->second.unusable));
    }
  } else {
    return found->second;
  }
  SourceTensor stand_in;
  stand_in.missing = true;
  stand_in.shape = std::move(shape);
  stand_in.read = [name](uint64_t, std::span<float>) -> Status {
    return Invalid("tensor \"{}\" is not there", name);
  };
  return stand_in;
}

Result<std::vector<float>> Weights::Values(const std::string& name,
                                           std::vector<int64_t> shape) {
  uint64_t elements = 1;
  for (const int64_t dim : shape) elements *= static_cast<uint64_t>(dim);
  const SourceTensor tensor = Need(name, std::move(shape));
  std::vector<float> values(elements);
  if (!tensor.missing) LATHE_TRY(tensor.read(0, values));
  return values;
}

Status Weights::Check(std::initializer_list<std::string_view> ignored) const {
  std::vector<std::string> extra;
  for (const auto& [name, tensor] : source_) {
    const bool other =
        std::ranges::any_of(ignored, [&name = name](std::string_view prefix) {
          return name.starts_with(prefix);
        });
    if (!other && !used_.contains(name)) {
      extra.push_back(fmt::format("{} {}", name, Words(tensor.shape)));
    }
  }
  if (missing_.empty() && misshapen_.empty() && extra.empty()) return {};
  std::string text = what_ + ": the tensors are not those of the configuration";
  Append(text, "missing", missing_);
  Append(text, "of another shape or type", misshapen_);
  Append(text, "not expected", extra);
  return std::unexpected(Error{ErrorCode::kInvalidInput, std::move(text)});
}

graph::TensorId AddConstant(graph::Builder& builder, std::string name,
                            graph::Shape shape, Fill fill) {
  return builder.Produced(std::move(name), graph::Type::kFloat32,
                          std::move(shape),
                          [fill = std::move(fill)](std::span<std::byte> out) {
                            return fill({reinterpret_cast<float*>(out.data()),
                                         out.size() / sizeof(float)});
                          });
}

graph::TensorId AddPlain(graph::Builder& builder, std::string name,
                         graph::Shape shape, SourceTensor tensor) {
  return AddConstant(builder, std::move(name), std::move(shape),
                     [tensor = std::move(tensor)](std::span<float> out) {
                       const Status status = tensor.read(0, out);
                       tensor.done();
                       return status;
                     });
}

}  // namespace lathe::importer
