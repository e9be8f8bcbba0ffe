#pragma once
#include <cstdint>

namespace monge::data {

struct Half;  // data/small_types.h
struct Bool;

// The element types of the project's files.
// boolean: h5py's, an enumeration of FALSE and TRUE.
enum class ElementType { u8, i32, i64, u64, f32, f64, text, i8, i16, u16, u32, f16, boolean };

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
template <>
inline constexpr ElementType element_type<std::int8_t> = ElementType::i8;
template <>
inline constexpr ElementType element_type<std::int16_t> = ElementType::i16;
template <>
inline constexpr ElementType element_type<std::uint16_t> = ElementType::u16;
template <>
inline constexpr ElementType element_type<std::uint32_t> = ElementType::u32;
template <>
inline constexpr ElementType element_type<Half> = ElementType::f16;
template <>
inline constexpr ElementType element_type<Bool> = ElementType::boolean;

}  // namespace monge::data
