// Where the model lies that is used when none is named.

#ifndef LATHE_CLI_DEFAULT_MODEL_H_
#define LATHE_CLI_DEFAULT_MODEL_H_

#include <string>

namespace lathe::cli {

// $LATHE_MODEL_DIR, else models/nano beside the program (a build), else
// ../share/lathe/models/nano (installed). The first that exists, or the second
// candidate for the message.
std::string DefaultModel();

}  // namespace lathe::cli

#endif  // LATHE_CLI_DEFAULT_MODEL_H_
