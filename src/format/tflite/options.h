// Reads and writes any options table through the schema's reflection data, so
// that no table needs code of its own.

#ifndef LATHE_FORMAT_TFLITE_OPTIONS_H_
#define LATHE_FORMAT_TFLITE_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "flatbuffers/flatbuffers.h"
#include "src/base/result.h"
#include "src/format/tflite/budget.h"
#include "src/graph/graph.h"

namespace lathe::format {

// Where an options table stands: in builtin_options or builtin_options_2, under
// which tag.
struct OptionsPlace {
  bool second = false;
  uint8_t tag = 0;
};

// Empty for a name that the schema does not have.
std::optional<OptionsPlace> PlaceOfOptions(std::string_view table_name);

// `stored` is a verified table of the schema's type `table_name`. Errors: the
// budget is spent.
Result<graph::Options> ReadOptions(std::string_view table_name,
                                   const flatbuffers::Table& stored,
                                   CopyBudget& budget);

// Every field of the table with a value of its kind: 0, false, or empty. Empty
// for a name that the schema does not have.
std::vector<graph::Attribute> FieldsOf(std::string_view table_name);

// Adds the table to the builder and returns its offset. Errors (kInvalidInput):
// unknown table or field, a value of another kind or beyond the field's width.
Result<flatbuffers::Offset<void>> WriteOptions(
    flatbuffers::FlatBufferBuilder& builder, const graph::Options& options);

}  // namespace lathe::format

#endif  // LATHE_FORMAT_TFLITE_OPTIONS_H_
