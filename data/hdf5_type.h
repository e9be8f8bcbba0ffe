#pragma once
#include <cstdint>

namespace monge::data {

// The element types of the project's files.
enum class ElementType { u8, i32, i64, u64, f32, f64, text };

const char* to_string(ElementType type);
int size_of(ElementType type);  // bytes; 0 for text

template <class T>
inline constexpr ElementType element_type = ElementType::text;
template <>
inline constexpr ElementType element_type<std::uint8_t> = ElementType::u8;
template <>
inline constexpr ElementType element_type<std::int32_t> = ElementType::i32;
template <>
inline constexpr ElementType element_type<std::int64_t> = ElementType::i64;
template <>
inline constexpr ElementType element_type<std::uint64_t> = ElementType::u64;
template <>
inline constexpr ElementType element_type<float> = ElementType::f32;
template <>
inline constexpr ElementType element_type<double> = ElementType::f64;

}  // namespace monge::data
