// The LiteRT twin: names, element types and errors of both APIs.

#include <iterator>
#include <optional>

#include "src/api/litert_state.h"

namespace lathe::litert {

const char* StatusName(Status status) {
#define LATHE_NAME(name) \
  case Status::name:     \
    return #name;
  switch (status) {
    LATHE_NAME(kOk)
    LATHE_NAME(kErrorInvalidArgument)
    LATHE_NAME(kErrorMemoryAllocationFailure)
    LATHE_NAME(kErrorRuntimeFailure)
    LATHE_NAME(kErrorMissingInputTensor)
    LATHE_NAME(kErrorUnsupported)
    LATHE_NAME(kErrorNotFound)
    LATHE_NAME(kErrorTimeoutExpired)
    LATHE_NAME(kErrorWrongVersion)
    LATHE_NAME(kErrorUnknown)
    LATHE_NAME(kErrorAlreadyExists)
    LATHE_NAME(kCancelled)
    LATHE_NAME(kErrorFileIO)
    LATHE_NAME(kErrorInvalidFlatbuffer)
    LATHE_NAME(kErrorDynamicLoading)
    LATHE_NAME(kErrorSerialization)
    LATHE_NAME(kErrorCompilation)
    LATHE_NAME(kErrorIndexOOB)
    LATHE_NAME(kErrorInvalidIrType)
    LATHE_NAME(kErrorInvalidGraphInvariant)
    LATHE_NAME(kErrorGraphModification)
    LATHE_NAME(kErrorInvalidToolConfig)
    LATHE_NAME(kLegalizeNoMatch)
    LATHE_NAME(kErrorInvalidLegalization)
    LATHE_NAME(kPatternNoMatch)
    LATHE_NAME(kInvalidTransformation)
    LATHE_NAME(kErrorUnsupportedRuntimeVersion)
    LATHE_NAME(kErrorUnsupportedCompilerVersion)
    LATHE_NAME(kErrorIncompatibleByteCodeVersion)
    LATHE_NAME(kErrorShapeInferenceUnsupportedOp)
    LATHE_NAME(kErrorShapeInferenceFailed)
  }
#undef LATHE_NAME
  return "unknown status";
}

namespace {

// One row per element type that both APIs know.
struct TypePair {
  lathe::ElementType ours;
  ElementType theirs;
  ByteWidth width;
};
constexpr ByteWidth kNoWidth = ByteWidth(0);
constexpr TypePair kTypes[] = {
    {lathe::ElementType::kFloat32, ElementType::Float32, ByteWidth(4)},
    {lathe::ElementType::kFloat16, ElementType::Float16, ByteWidth(2)},
    {lathe::ElementType::kInt32, ElementType::Int32, ByteWidth(4)},
    {lathe::ElementType::kUint8, ElementType::UInt8, ByteWidth(1)},
    {lathe::ElementType::kInt64, ElementType::Int64, ByteWidth(8)},
    {lathe::ElementType::kString, ElementType::TfString, kNoWidth},
    {lathe::ElementType::kBool, ElementType::Bool, ByteWidth(1)},
    {lathe::ElementType::kInt16, ElementType::Int16, ByteWidth(2)},
    {lathe::ElementType::kComplex64, ElementType::Complex64, ByteWidth(8)},
    {lathe::ElementType::kInt8, ElementType::Int8, ByteWidth(1)},
    {lathe::ElementType::kFloat64, ElementType::Float64, ByteWidth(8)},
    {lathe::ElementType::kComplex128, ElementType::Complex128, ByteWidth(16)},
    {lathe::ElementType::kUint64, ElementType::UInt64, ByteWidth(8)},
    {lathe::ElementType::kResource, ElementType::TfResource, kNoWidth},
    {lathe::ElementType::kVariant, ElementType::TfVariant, kNoWidth},
    {lathe::ElementType::kUint32, ElementType::UInt32, ByteWidth(4)},
    {lathe::ElementType::kUint16, ElementType::UInt16, ByteWidth(2)},
    {lathe::ElementType::kInt4, ElementType::Int4, ByteWidth(1, 2)},
    {lathe::ElementType::kBfloat16, ElementType::BFloat16, ByteWidth(2)},
    {lathe::ElementType::kInt2, ElementType::Int2, ByteWidth(1, 4)},
    {lathe::ElementType::kUint4, ElementType::UInt4, ByteWidth(1, 2)},
};

}  // namespace

ElementType TheirType(lathe::ElementType ours) {
  const auto* found = std::ranges::find(kTypes, ours, &TypePair::ours);
  return found == std::end(kTypes) ? ElementType::None : found->theirs;
}

std::string NameOf(ElementType theirs) {
  const auto* found = std::ranges::find(kTypes, theirs, &TypePair::theirs);
  if (found == std::end(kTypes)) {
    return fmt::format("element type {}", static_cast<int>(theirs));
  }
  return std::string(lathe::Name(found->ours));
}

std::string ShapeText(std::span<const int32_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ","));
}

RankedTensorType TypeOf(const TensorInfo& tensor,
                        std::span<const int32_t> shape) {
  return RankedTensorType(TheirType(tensor.type),
                          Layout(Dimensions(shape.begin(), shape.end())));
}

size_t BytesOf(const RankedTensorType& type) {
  const auto bytes = type.Bytes();
  return bytes ? *bytes : 0;
}

std::optional<ByteWidth> GetByteWidth(ElementType type) {
  if (type == ElementType::Float8E4M3FN || type == ElementType::Float8E5M2) {
    return ByteWidth(1);
  }
  const auto* found = std::ranges::find(kTypes, type, &TypePair::theirs);
  if (found == std::end(kTypes) || found->width == kNoWidth) {
    return std::nullopt;
  }
  return found->width;
}

Error Convert(const lathe::Error& error, Doing doing) {
  const auto status = [&] {
    switch (error.code) {
      case ErrorCode::kUsage:
        return Status::kErrorInvalidArgument;
      case ErrorCode::kInterrupted:
        return Status::kCancelled;
      case ErrorCode::kUnsupported:
        return Status::kErrorUnsupported;
      case ErrorCode::kInvalidInput:
        return doing == Doing::kOpening     ? Status::kErrorInvalidFlatbuffer
               : doing == Doing::kCompiling ? Status::kErrorCompilation
                                            : Status::kErrorRuntimeFailure;
      case ErrorCode::kSystem:
        return doing == Doing::kOpening ? Status::kErrorFileIO
                                        : Status::kErrorMemoryAllocationFailure;
    }
    return Status::kErrorUnknown;
  }();
  return Error(status, error.message);
}

}  // namespace lathe::litert
