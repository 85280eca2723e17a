// Options tables by reflection.

#include "src/format/tflite/options.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "flatbuffers/reflection.h"
#include "src/format/tflite/schema_bfbs_generated.h"

namespace lathe::format {
namespace {

using graph::Attribute;
using graph::AttributeValue;
using reflection::BaseType;
using reflection::Field;

// What the schema says of one options table.
struct TableFacts {
  OptionsPlace place;
  std::vector<const Field*> fields;  // By slot, dead ones left out.

  const Field* Find(std::string_view name) const {
    const auto found = std::ranges::find_if(fields, [&](const Field* field) {
      return field->name()->string_view() == name;
    });
    return found == fields.end() ? nullptr : *found;
  }
};

class OptionsSchema {
 public:
  static const OptionsSchema& Get() {
    static const OptionsSchema schema;
    return schema;
  }

  const TableFacts* Find(std::string_view table_name) const {
    const auto found = tables_.find(table_name);
    return found == tables_.end() ? nullptr : &found->second;
  }

 private:
  OptionsSchema() {
    // The generated array is not aligned as FlatBuffers wants it.
    const auto* begin = schema::ModelBinarySchema::data();
    const size_t size = schema::ModelBinarySchema::size();
    bytes_.resize(size / sizeof(uint64_t) + 1);
    std::copy(begin, begin + size, reinterpret_cast<uint8_t*>(bytes_.data()));
    const auto* schema = reflection::GetSchema(bytes_.data());
    AddUnion(*schema, "lathe.format.schema.BuiltinOptions", false);
    AddUnion(*schema, "lathe.format.schema.BuiltinOptions2", true);
  }

  void AddUnion(const reflection::Schema& schema, std::string_view name,
                bool second) {
    const auto found = std::ranges::find_if(
        *schema.enums(),
        [&](const auto* one) { return one->name()->string_view() == name; });
    for (const auto* value : *(*found)->values()) {
      if (value->value() == 0) continue;  // NONE
      TableFacts facts;
      facts.place = {second, static_cast<uint8_t>(value->value())};
      const auto index =
          static_cast<flatbuffers::uoffset_t>(value->union_type()->index());
      for (const Field* field : *schema.objects()->Get(index)->fields()) {
        if (!field->deprecated()) facts.fields.push_back(field);
      }
      std::ranges::sort(facts.fields, {},
                        [](const Field* field) { return field->id(); });
      tables_.emplace(value->name()->str(), std::move(facts));
    }
  }

  std::vector<uint64_t> bytes_;
  std::map<std::string, TableFacts, std::less<>> tables_;
};

bool IsFloat(BaseType type) {
  return type == reflection::Float || type == reflection::Double;
}

// The FlatBuffers verifier aligns counts, not elements: so byte by byte.
template <typename Stored, typename Wide>
std::vector<Wide> Elements(const flatbuffers::VectorOfAny& vector) {
  std::vector<Wide> values(vector.size());
  for (size_t i = 0; i < values.size(); ++i) {
    Stored value;
    std::memcpy(&value, vector.Data() + i * sizeof(Stored), sizeof(Stored));
    values[i] = static_cast<Wide>(value);
  }
  return values;
}

// One vector of a table. Each element type reads and writes its own way.
Result<AttributeValue> ReadVector(const Field& field,
                                  const flatbuffers::VectorOfAny& vector,
                                  CopyBudget& budget) {
  const BaseType type = field.type()->element();
  const size_t count = vector.size();
  if (!budget.Take(count * sizeof(int64_t))) {
    return Invalid("option vectors are too large together");
  }
  if (type == reflection::UByte) {
    const uint8_t* data = vector.Data();
    return std::vector<uint8_t>(data, data + count);
  }
  if (type == reflection::Bool) {
    const std::vector<int64_t> flags = Elements<uint8_t, int64_t>(vector);
    std::vector<bool> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = flags[i] != 0;
    return values;
  }
  switch (type) {
    case reflection::Float:
      return Elements<float, double>(vector);
    case reflection::Int:
      return Elements<int32_t, int64_t>(vector);
    case reflection::UInt:
      return Elements<uint32_t, int64_t>(vector);
    case reflection::Long:
      return Elements<int64_t, int64_t>(vector);
    default:
      return Invalid("{} holds a kind of list that is not known",
                     field.name()->string_view());
  }
}

// Whether a whole number fits the field's width.
bool Fits(BaseType type, int64_t value) {
  const auto within = [&]<typename T>(T) {
    return value >= static_cast<int64_t>(std::numeric_limits<T>::min()) &&
           value <= static_cast<int64_t>(std::numeric_limits<T>::max());
  };
  switch (type) {
    case reflection::Bool:
      return value == 0 || value == 1;
    case reflection::Byte:
      return within(int8_t{});
    case reflection::UByte:
    case reflection::UType:
      return within(uint8_t{});
    case reflection::Short:
      return within(int16_t{});
    case reflection::UShort:
      return within(uint16_t{});
    case reflection::Int:
      return within(int32_t{});
    case reflection::UInt:
      return within(uint32_t{});
    default:
      return true;
  }
}

std::optional<int64_t> AsInt(const AttributeValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  return std::nullopt;
}

std::optional<double> AsFloat(const AttributeValue& value) {
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* number = std::get_if<int64_t>(&value)) {
    return static_cast<double>(*number);
  }
  return std::nullopt;
}

template <typename T, typename Source>
flatbuffers::uoffset_t AddVector(flatbuffers::FlatBufferBuilder& builder,
                                 const Source& source) {
  std::vector<T> values(source.begin(), source.end());
  return builder.CreateVector(values).o;
}

// Adds the vector or string that a field refers to; 0 when the value is of
// another kind.
flatbuffers::uoffset_t AddReferred(flatbuffers::FlatBufferBuilder& builder,
                                   const Field& field,
                                   const AttributeValue& value) {
  if (field.type()->base_type() == reflection::String) {
    const auto* text = std::get_if<std::string>(&value);
    return text ? builder.CreateString(*text).o : 0;
  }
  const BaseType element = field.type()->element();
  if (const auto* ints = std::get_if<std::vector<int64_t>>(&value)) {
    if (!std::ranges::all_of(*ints,
                             [&](int64_t v) { return Fits(element, v); })) {
      return 0;
    }
    switch (element) {
      case reflection::Int:
        return AddVector<int32_t>(builder, *ints);
      case reflection::UInt:
        return AddVector<uint32_t>(builder, *ints);
      case reflection::Long:
        return AddVector<int64_t>(builder, *ints);
      default:
        return 0;
    }
  }
  if (const auto* bytes = std::get_if<std::vector<uint8_t>>(&value)) {
    return element == reflection::UByte ? builder.CreateVector(*bytes).o : 0;
  }
  if (const auto* flags = std::get_if<std::vector<bool>>(&value)) {
    return element == reflection::Bool ? AddVector<uint8_t>(builder, *flags)
                                       : 0;
  }
  if (const auto* floats = std::get_if<std::vector<double>>(&value)) {
    return element == reflection::Float ? AddVector<float>(builder, *floats)
                                        : 0;
  }
  return 0;
}

// Adds a number to the table that is open in the builder.
bool AddNumber(flatbuffers::FlatBufferBuilder& builder, const Field& field,
               const AttributeValue& value) {
  const auto slot = static_cast<flatbuffers::voffset_t>(field.offset());
  const BaseType type = field.type()->base_type();
  if (IsFloat(type)) {
    const auto number = AsFloat(value);
    if (!number) return false;
    builder.AddElement<float>(slot, static_cast<float>(*number),
                              static_cast<float>(field.default_real()));
    return true;
  }
  const auto number = AsInt(value);
  if (!number || !Fits(type, *number)) return false;
  const auto add = [&]<typename T>(T) {
    builder.AddElement<T>(slot, static_cast<T>(*number),
                          static_cast<T>(field.default_integer()));
    return true;
  };
  switch (flatbuffers::GetTypeSize(type)) {
    case 1:
      return add(uint8_t{});
    case 2:
      return add(uint16_t{});
    case 4:
      return add(uint32_t{});
    default:
      return add(uint64_t{});
  }
}

AttributeValue ZeroOf(const Field& field) {
  switch (field.type()->base_type()) {
    case reflection::String:
      return std::string();
    case reflection::Bool:
      return false;
    case reflection::Float:
    case reflection::Double:
      return 0.0;
    case reflection::Vector:
      switch (field.type()->element()) {
        case reflection::UByte:
          return std::vector<uint8_t>();
        case reflection::Bool:
          return std::vector<bool>();
        case reflection::Float:
          return std::vector<double>();
        default:
          return std::vector<int64_t>();
      }
    default:
      return int64_t{0};
  }
}

bool IsReferred(const Field& field) {
  return field.type()->base_type() == reflection::String ||
         field.type()->base_type() == reflection::Vector;
}

}  // namespace

std::optional<OptionsPlace> PlaceOfOptions(std::string_view table_name) {
  const TableFacts* facts = OptionsSchema::Get().Find(table_name);
  if (facts == nullptr) return std::nullopt;
  return facts->place;
}

std::vector<Attribute> FieldsOf(std::string_view table_name) {
  std::vector<Attribute> fields;
  const TableFacts* facts = OptionsSchema::Get().Find(table_name);
  if (facts == nullptr) return fields;
  for (const Field* field : facts->fields) {
    fields.push_back({field->name()->str(), ZeroOf(*field)});
  }
  return fields;
}

Result<graph::Options> ReadOptions(std::string_view table_name,
                                   const flatbuffers::Table& stored,
                                   CopyBudget& budget) {
  const TableFacts* facts = OptionsSchema::Get().Find(table_name);
  if (facts == nullptr) return Invalid("no options table '{}'", table_name);
  graph::Options options;
  options.table = table_name;
  for (const Field* field : facts->fields) {
    const auto slot = static_cast<flatbuffers::voffset_t>(field->offset());
    if (stored.GetOptionalFieldOffset(slot) == 0) continue;
    const std::string name = field->name()->str();
    switch (field->type()->base_type()) {
      case reflection::String: {
        const auto* text = stored.GetPointer<const flatbuffers::String*>(slot);
        if (!budget.Take(text->size())) {
          return Invalid("option texts are too large together");
        }
        options.fields.push_back({name, text->str()});
        break;
      }
      case reflection::Vector: {
        const auto* vector =
            stored.GetPointer<const flatbuffers::VectorOfAny*>(slot);
        LATHE_ASSIGN(AttributeValue values,
                     ReadVector(*field, *vector, budget));
        options.fields.push_back({name, std::move(values)});
        break;
      }
      case reflection::Float:
      case reflection::Double: {
        const double value = flatbuffers::GetAnyFieldF(stored, *field);
        if (value != field->default_real()) {
          options.fields.push_back({name, value});
        }
        break;
      }
      default: {
        const int64_t value = flatbuffers::GetAnyFieldI(stored, *field);
        if (value == field->default_integer()) break;
        if (field->type()->base_type() == reflection::Bool) {
          if ((value != 0) != (field->default_integer() != 0)) {
            options.fields.push_back({name, value != 0});
          }
        } else {
          options.fields.push_back({name, value});
        }
        break;
      }
    }
  }
  return options;
}

Result<flatbuffers::Offset<void>> WriteOptions(
    flatbuffers::FlatBufferBuilder& builder, const graph::Options& options) {
  const TableFacts* facts = OptionsSchema::Get().Find(options.table);
  if (facts == nullptr) return Invalid("no options table '{}'", options.table);
  // Vectors and strings come before the table that refers to them.
  std::vector<flatbuffers::uoffset_t> referred(options.fields.size(), 0);
  for (size_t i = 0; i < options.fields.size(); ++i) {
    const Attribute& attribute = options.fields[i];
    const Field* field = facts->Find(attribute.name);
    if (field == nullptr) {
      return Invalid("{} has no field '{}'", options.table, attribute.name);
    }
    for (size_t j = 0; j < i; ++j) {
      if (options.fields[j].name == attribute.name) {
        return Invalid("{}.{} stands twice", options.table, attribute.name);
      }
    }
    if (!IsReferred(*field)) continue;
    referred[i] = AddReferred(builder, *field, attribute.value);
    if (referred[i] == 0) {
      return Invalid("{}.{} is of another kind than the value it is given",
                     options.table, attribute.name);
    }
  }
  const auto start = builder.StartTable();
  bool fits = true;
  std::string_view culprit;
  for (size_t i = 0; i < options.fields.size(); ++i) {
    const Attribute& attribute = options.fields[i];
    const Field& field = *facts->Find(attribute.name);
    if (referred[i] != 0) {
      builder.AddOffset(static_cast<flatbuffers::voffset_t>(field.offset()),
                        flatbuffers::Offset<void>(referred[i]));
    } else if (!AddNumber(builder, field, attribute.value)) {
      fits = false;
      culprit = attribute.name;
    }
  }
  const flatbuffers::Offset<void> table(builder.EndTable(start));
  if (!fits) {
    return Invalid("{}.{}: the value is of another kind or too large",
                   options.table, culprit);
  }
  return table;
}

}  // namespace lathe::format
