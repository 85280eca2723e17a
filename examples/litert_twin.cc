// Code as one writes it for LiteRT, running on Lathe: another include and one
// line.
//
//   litert_twin MODEL.tflite

#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "lathe/litert.hpp"

namespace litert = lathe::litert;

namespace {

litert::Expected<void> RunModel(const std::string& path) {
  LITERT_ASSIGN_OR_RETURN(auto env, litert::Environment::Create({}));
  LITERT_ASSIGN_OR_RETURN(
      auto model,
      litert::CompiledModel::Create(env, path, litert::HwAccelerators::kCpu));
  LITERT_ASSIGN_OR_RETURN(auto inputs, model.CreateInputBuffers());
  LITERT_ASSIGN_OR_RETURN(auto outputs, model.CreateOutputBuffers());

  // Copied in with Write ...
  for (litert::TensorBuffer& input : inputs) {
    LITERT_ASSIGN_OR_RETURN(auto type, input.TensorType());
    if (type.ElementType() != litert::ElementType::Float32) continue;
    LITERT_ASSIGN_OR_RETURN(const size_t count, type.Layout().NumElements());
    const std::vector<float> values(count, 0.5f);
    LITERT_RETURN_IF_ERROR(input.Write<float>(values)) << "while filling";
  }
  LITERT_RETURN_IF_ERROR(model.Run(inputs, outputs));

  // ... and read in place under a lock.
  LITERT_ASSIGN_OR_RETURN(auto names, model.GetSignatureOutputNames());
  for (size_t i = 0; i < outputs.size(); ++i) {
    LITERT_ASSIGN_OR_RETURN(auto type, outputs[i].TensorType());
    if (type.ElementType() != litert::ElementType::Float32) continue;
    LITERT_ASSIGN_OR_RETURN(const size_t count, type.Layout().NumElements());
    LITERT_ASSIGN_OR_RETURN(
        auto lock_and_addr,
        litert::TensorBufferScopedLock::Create<const float>(
            outputs[i], litert::TensorBuffer::LockMode::kRead));
    std::cout << "output " << names[i] << ": " << count << " values:";
    for (size_t j = 0; j < std::min<size_t>(4, count); ++j) {
      std::cout << ' ' << lock_and_addr.second[j];
    }
    std::cout << '\n';
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: litert_twin MODEL.tflite\n";
    return 2;
  }
  if (auto done = RunModel(argv[1]); !done) {
    std::cerr << done.Error() << '\n';
    return 1;
  }
  return 0;
}
