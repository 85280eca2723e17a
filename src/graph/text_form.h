// What writing and reading the text form share.

#ifndef LATHE_GRAPH_TEXT_FORM_H_
#define LATHE_GRAPH_TEXT_FORM_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace lathe::graph {

// Constants up to this size are written in full.
inline constexpr size_t kMostShownValues = 64;
inline constexpr size_t kMostShownBytes = 4096;

// Names of these characters stand without quotes.
bool IsNameCharacter(char c);
// The name, in quotes where it needs them.
std::string NameText(std::string_view name);
// In quotes; \" \\ and \x1f inside.
std::string Quoted(std::string_view text);
// "0x0aff", byte by byte.
std::string HexText(std::span<const std::byte> bytes);

}  // namespace lathe::graph

#endif  // LATHE_GRAPH_TEXT_FORM_H_
