// One value on the stack for each opcode; see the reference, section 4.1, for
// the opcodes that occur.

#include "src/format/torch_zip/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <set>
#include <string_view>

namespace lathe::format {
namespace {

using Kind = PickleValue::Kind;

// Everything a pickle makes is charged, so that no chain of opcodes, however
// short, takes more memory. A tensor costs about 4 KiB.
constexpr size_t kMostMemory = size_t{256} << 20;
constexpr size_t kMostStack = 1'000'000;
constexpr size_t kMostGlobal = 1024;
// A map's node, with what the allocator adds.
constexpr size_t kMemoEntry = 80;

// Names that no checkpoint needs and every published attack uses.
bool IsAttack(std::string_view module, std::string_view name) {
  for (const std::string_view bad :
       {"os",       "posix",      "nt",       "subprocess", "sys",
        "runpy",    "importlib",  "shutil",   "socket",     "pty",
        "commands", "webbrowser", "ctypes",   "pickle",     "code",
        "marshal",  "types",      "operator", "asyncio",    "multiprocessing",
        "http",     "urllib",     "requests", "pip"}) {
    if (module == bad || (module.starts_with(bad) &&
                          module.substr(bad.size()).starts_with('.'))) {
      return true;
    }
  }
  if (module == "builtins" || module == "__builtin__") {
    for (const std::string_view bad :
         {"eval", "exec", "compile", "open", "getattr", "setattr", "delattr",
          "__import__", "input", "breakpoint", "globals", "locals", "vars",
          "apply", "execfile", "file", "map", "filter"}) {
      if (name == bad) return true;
    }
  }
  return false;
}

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& origin)
      : bytes_(bytes), origin_(origin) {}

  Result<Pickle> Run() {
    for (;;) {
      if (at_ >= bytes_.size()) return Broken("ends without STOP");
      const uint8_t op = Byte();
      if (op == '.') break;
      if (!Execute(op)) {
        return Broken(fmt::format("opcode 0x{:02x} ({})", op, why_));
      }
      if (memory_ > kMostMemory || stack_.size() + marks_.size() > kMostStack) {
        return Broken("more values than any checkpoint has");
      }
    }
    if (stack_.size() != 1 || stack_[0] == nullptr || !marks_.empty()) {
      return Broken("STOP with an unbalanced stack");
    }
    if (!attacks_.empty()) {
      std::string names;
      for (const std::string& name : attacks_) names += " " + name;
      return Invalid(
          "{}: refused, its pickle refers to code that no checkpoint needs:{}",
          origin_, names);
    }
    pickle_.root = stack_[0];
    return std::move(pickle_);
  }

 private:
  std::unexpected<Error> Broken(const std::string& what) const {
    return Invalid("{}: pickle byte {}: {}", origin_, at_, what);
  }
  bool No(std::string_view why) {
    why_ = why;
    return false;
  }

  uint8_t Byte() { return static_cast<uint8_t>(bytes_[at_++]); }

  // Little-endian, `size` bytes; false at the end of the input.
  bool Number(size_t size, uint64_t& value) {
    if (bytes_.size() - at_ < size) return No("cut short");
    value = 0;
    for (size_t i = 0; i < size; ++i) {
      value |= static_cast<uint64_t>(Byte()) << (8 * i);
    }
    return true;
  }

  bool Text(size_t length_bytes, std::string& text) {
    uint64_t n = 0;
    if (!Number(length_bytes, n)) return false;
    if (n > bytes_.size() - at_) return No("a string longer than the file");
    if (!Charge(n)) return false;
    text.assign(reinterpret_cast<const char*>(bytes_.data() + at_), n);
    at_ += n;
    return true;
  }

  bool Line(std::string& text) {
    text.clear();
    while (at_ < bytes_.size()) {
      const char c = static_cast<char>(Byte());
      if (c == '\n') return true;
      text += c;
      if (text.size() > 4096) break;
    }
    return No("a name without an end");
  }

  // Before the memory is taken.
  bool Charge(size_t bytes) {
    memory_ += bytes;  // At most the input and one copy beyond the limit.
    return memory_ <= kMostMemory || No("more than any checkpoint has");
  }
  bool ChargeItems(size_t count) {
    return Charge(count * sizeof(PickleValue*));
  }

  PickleValue* Make(Kind kind) {
    memory_ += sizeof(PickleValue) + 3 * sizeof(void*);
    pickle_.values.push_back(std::make_unique<PickleValue>());
    pickle_.values.back()->kind = kind;
    return pickle_.values.back().get();
  }
  bool Push(PickleValue* value) {
    stack_.push_back(value);
    return true;
  }
  bool PushInt(int64_t number) {
    PickleValue* value = Make(Kind::kInt);
    value->number = number;
    return Push(value);
  }
  bool PushText(size_t length_bytes) {
    PickleValue* value = Make(Kind::kText);
    return Text(length_bytes, value->text) && Push(value);
  }
  size_t Floor() const { return marks_.empty() ? 0 : marks_.back(); }
  bool Pop(PickleValue*& value) {
    if (stack_.size() <= Floor()) return No("stack is empty");
    value = stack_.back();
    stack_.pop_back();
    return true;
  }
  // The value below the last mark's values.
  bool TakeToMark(std::vector<PickleValue*>& items) {
    if (marks_.empty()) return No("no MARK");
    const size_t mark = marks_.back();
    marks_.pop_back();
    if (!ChargeItems(stack_.size() - mark)) return false;
    items.assign(stack_.begin() + static_cast<ptrdiff_t>(mark), stack_.end());
    stack_.resize(mark);
    return true;
  }
  bool Top(PickleValue*& value) {
    if (stack_.size() <= Floor()) return No("stack is empty");
    value = stack_.back();
    return true;
  }

  bool PushTuple(size_t count) {
    PickleValue* tuple = Make(Kind::kTuple);
    tuple->items.resize(count);
    for (size_t i = count; i-- > 0;) {
      if (!Pop(tuple->items[i])) return false;
    }
    return Push(tuple);
  }

  bool PushGlobal(const std::string& module, const std::string& name) {
    if (module.size() + name.size() > kMostGlobal) return No("a long name");
    if (!Charge(module.size() + name.size())) return false;
    if (IsAttack(module, name)) attacks_.insert(module + "." + name);
    PickleValue* value = Make(Kind::kGlobal);
    value->text = module + "." + name;
    return Push(value);
  }

  // callable(args) as a value: containers are made, everything else is noted.
  bool PushCall(const PickleValue* callable, PickleValue* args) {
    if (callable->kind != Kind::kGlobal) return No("calls what is not a name");
    const std::string& name = callable->text;
    if (name == "collections.OrderedDict" || name == "builtins.dict" ||
        name == "collections.defaultdict" || name == "collections.Counter") {
      PickleValue* dict = Make(Kind::kDict);
      // OrderedDict([(key, value), ...])
      if (!args->items.empty() && name != "collections.defaultdict") {
        if (!ChargeItems(2 * args->items[0]->items.size())) return false;
        for (const PickleValue* pair : args->items[0]->items) {
          if (pair->kind == Kind::kTuple && pair->items.size() == 2) {
            dict->items.insert(dict->items.end(), pair->items.begin(),
                               pair->items.end());
          }
        }
      }
      return Push(dict);
    }
    if (!Charge(name.size()) || !ChargeItems(args->items.size())) return false;
    PickleValue* object = Make(Kind::kObject);
    object->text = name;
    object->items = args->items;
    return Push(object);
  }

  bool SetItems(PickleValue* target, const std::vector<PickleValue*>& items) {
    if (items.size() % 2 != 0) return No("a key without a value");
    if (target->kind != Kind::kDict && target->kind != Kind::kObject) {
      return No("sets items of what is not a dict");
    }
    if (!ChargeItems(items.size())) return false;
    target->items.insert(target->items.end(), items.begin(), items.end());
    return true;
  }

  bool Memoize(uint64_t index) {
    PickleValue* value = nullptr;
    if (!Top(value)) return false;
    if (!Charge(kMemoEntry)) return false;
    memo_[index] = value;
    return true;
  }
  bool Recall(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) return No("unknown memo entry");
    return Push(found->second);
  }

  bool Execute(uint8_t op) {
    uint64_t n = 0;
    std::string a, b;
    PickleValue *x = nullptr, *y = nullptr;
    std::vector<PickleValue*> items;
    why_ = {};
    switch (op) {
      case 0x80:  // PROTO
        if (!Number(1, n)) return false;
        return (n >= 2 && n <= 5) || No("protocol not 2 to 5");
      case 0x95:  // FRAME
        return Number(8, n);
      case '(':  // MARK
        marks_.push_back(stack_.size());
        return true;
      case '0':  // POP
        return Pop(x);
      case 'N':
        return Push(Make(Kind::kNone));
      case 0x88:  // NEWTRUE
      case 0x89:  // NEWFALSE
        x = Make(Kind::kBool);
        x->number = op == 0x88;
        return Push(x);
      case 'J':  // BININT
        return Number(4, n) && PushInt(static_cast<int32_t>(n));
      case 'K':  // BININT1
        return Number(1, n) && PushInt(static_cast<int64_t>(n));
      case 'M':  // BININT2
        return Number(2, n) && PushInt(static_cast<int64_t>(n));
      case 0x8a: {  // LONG1, two's complement
        uint64_t size = 0;
        if (!Number(1, size)) return false;
        if (size > 8) {  // Seeds of generators; nothing of ours.
          if (size > bytes_.size() - at_) return No("cut short");
          at_ += size;
          return Push(Make(Kind::kNone));
        }
        if (!Number(size, n)) return false;
        if (size > 0 && size < 8 && (n >> (8 * size - 1) & 1) != 0) {
          n |= ~uint64_t{0} << (8 * size);
        }
        return PushInt(static_cast<int64_t>(n));
      }
      case 'G': {  // BINFLOAT, big-endian
        if (!Number(8, n)) return false;
        x = Make(Kind::kFloat);
        x->real = std::bit_cast<double>(__builtin_bswap64(n));
        return Push(x);
      }
      case 'X':  // BINUNICODE
      case 'T':  // BINSTRING
      case 'B':  // BINBYTES
        return PushText(4);
      case 0x8c:  // SHORT_BINUNICODE
      case 'U':   // SHORT_BINSTRING
      case 'C':   // SHORT_BINBYTES
        return PushText(1);
      case 0x8d:  // BINUNICODE8
      case 0x8e:  // BINBYTES8
        return PushText(8);
      case ')':
        return Push(Make(Kind::kTuple));
      case 0x85:
        return PushTuple(1);
      case 0x86:
        return PushTuple(2);
      case 0x87:
        return PushTuple(3);
      case 't':
        if (!TakeToMark(items)) return false;
        x = Make(Kind::kTuple);
        x->items = std::move(items);
        return Push(x);
      case ']':   // EMPTY_LIST
      case 0x8f:  // EMPTY_SET
        return Push(Make(Kind::kTuple));
      case '}':
        return Push(Make(Kind::kDict));
      case 'a':  // APPEND
        if (!Pop(y) || !Top(x)) return false;
        if (x->kind != Kind::kTuple && x->kind != Kind::kObject) {
          return No("appends to what is not a list");
        }
        if (!ChargeItems(1)) return false;
        x->items.push_back(y);
        return true;
      case 'e':   // APPENDS
      case 0x90:  // ADDITEMS
        if (!TakeToMark(items) || !Top(x)) return false;
        if (x->kind != Kind::kTuple && x->kind != Kind::kObject) {
          return No("appends to what is not a list");
        }
        x->items.insert(x->items.end(), items.begin(), items.end());
        return true;
      case 's': {  // SETITEM
        PickleValue* value = nullptr;
        if (!Pop(value) || !Pop(y) || !Top(x)) return false;
        return SetItems(x, {y, value});
      }
      case 'u':  // SETITEMS
        return TakeToMark(items) && Top(x) && SetItems(x, items);
      case 'c':  // GLOBAL
        return Line(a) && Line(b) && PushGlobal(a, b);
      case 0x93:  // STACK_GLOBAL
        if (!Pop(y) || !Pop(x)) return false;
        if (x->kind != Kind::kText || y->kind != Kind::kText) {
          return No("a name that is not text");
        }
        return PushGlobal(x->text, y->text);
      case 'R':   // REDUCE
      case 0x81:  // NEWOBJ
        if (!Pop(y) || !Pop(x)) return false;
        if (y->kind != Kind::kTuple) return No("arguments are not a tuple");
        return PushCall(x, y);
      case 'b':  // BUILD
        if (!Pop(y) || !Top(x)) return false;
        if (x->kind == Kind::kObject) x->state = y;
        return true;
      case 'Q':  // BINPERSID
        if (!Pop(x)) return false;
        if (x->kind != Kind::kTuple) return No("a storage id not a tuple");
        if (!ChargeItems(x->items.size())) return false;
        y = Make(Kind::kStorage);
        y->items = x->items;
        return Push(y);
      case 'q':  // BINPUT
        return Number(1, n) && Memoize(n);
      case 'r':  // LONG_BINPUT
        return Number(4, n) && Memoize(n);
      case 0x94:  // MEMOIZE
        return Memoize(memo_.size());
      case 'h':  // BINGET
        return Number(1, n) && Recall(n);
      case 'j':  // LONG_BINGET
        return Number(4, n) && Recall(n);
      default:
        return No("torch does not write it");
    }
  }

  std::span<const std::byte> bytes_;
  std::string origin_;
  size_t at_ = 0;
  size_t memory_ = 0;
  Pickle pickle_;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;
  std::map<uint64_t, PickleValue*> memo_;
  std::set<std::string> attacks_;
  std::string why_;
};

}  // namespace

Result<Pickle> ReadPickle(std::span<const std::byte> bytes,
                          const std::string& origin) {
  return Machine(bytes, origin).Run();
}

}  // namespace lathe::format
