// The smallest whole program: open a .tflite file, fill its inputs, run it,
// read its outputs.
//
//   run_model MODEL.tflite

#include <algorithm>
#include <cstdio>

#include "lathe/lathe.hpp"

namespace {

int Fail(const lathe::Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  return static_cast<int>(error.code);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: run_model MODEL.tflite\n");
    return 2;
  }
  auto model = lathe::Model::Open(argv[1]);
  if (!model) return Fail(model.error());
  auto session = lathe::Session::Create(*model);
  if (!session) return Fail(session.error());

  for (const lathe::TensorInfo& input : session->inputs()) {
    if (input.type != lathe::ElementType::kFloat32) continue;
    auto values = session->Input<float>(input.name);
    if (!values) return Fail(values.error());
    std::ranges::fill(*values, 0.5f);
    std::printf("input  %s: %zu values of 0.5\n", input.name.c_str(),
                values->size());
  }
  if (auto done = session->Run(); !done) return Fail(done.error());
  for (const lathe::TensorInfo& output : session->outputs()) {
    if (output.type != lathe::ElementType::kFloat32) continue;
    auto values = session->Output<float>(output.name);
    if (!values) return Fail(values.error());
    std::printf("output %s: %zu values:", output.name.c_str(), values->size());
    for (const float value :
         values->first(std::min<size_t>(4, values->size()))) {
      std::printf(" %g", value);
    }
    std::printf("\n");
  }
  return 0;
}
