// --data: samples of a model's signatures, from files or random.

#ifndef LATHE_CLI_SAMPLES_H_
#define LATHE_CLI_SAMPLES_H_

#include <span>
#include <string>
#include <vector>

#include "lathe/samples.hpp"

namespace lathe::cli {

inline constexpr const char* kDataHelp =
    "NAME=PATH.npy for each input (one sample, or samples along a new first "
    "axis), a folder that holds SIGNATURE/INPUT.npy, or random[:N]: N samples "
    "for each signature, N 1 to 1000000 (default 1), sample k filled with "
    "random:k";

// The samples that `data` names. NAME=PATH.npy is about `signature` (empty: the
// first); random about it or, if empty, about all; a folder about those it
// names: letters that a file name cannot hold are "_", a model without
// signatures is "main". An input with one sample has it in all. Files are
// looked at here and read one sample at a time.
//
// Errors, all of them together: kUsage for what is none of the three, two kinds
// at once and unknown names (with the nearest); kInvalidInput for inputs
// without data, wrong files, numbers of samples that differ, and no samples.
Result<std::vector<Samples>> ReadSamples(
    std::span<const SignatureInfo> signatures,
    std::span<const std::string> data, const std::string& signature);

}  // namespace lathe::cli

#endif  // LATHE_CLI_SAMPLES_H_
