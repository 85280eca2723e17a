// A list of problems, one per line, that stops growing at 100.

#ifndef LATHE_GRAPH_PROBLEMS_H_
#define LATHE_GRAPH_PROBLEMS_H_

#include <string>

#include "src/base/result.h"

namespace lathe::graph {

class Problems {
 public:
  template <typename... Args>
  void Add(fmt::format_string<Args...> text, Args&&... args) {
    if (Full()) return;
    ++count_;
    if (!text_.empty()) text_ += '\n';
    text_ += where_;
    fmt::format_to(std::back_inserter(text_), text,
                   std::forward<Args>(args)...);
    if (Full()) text_ += "\n... and possibly more";
  }

  // Stands before each problem from here on, such as "subgraph 0 tensor 3: ".
  void SetPlace(std::string where) { where_ = std::move(where); }

  bool Full() const { return count_ >= kMost; }
  bool empty() const { return count_ == 0; }

  Status ToStatus() const {
    if (empty()) return {};
    return Invalid("{}", text_);
  }

 private:
  static constexpr size_t kMost = 100;
  size_t count_ = 0;
  std::string where_, text_;
};

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_PROBLEMS_H_
