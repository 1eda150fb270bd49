// How the host finds a noise value: one read of a table for most high words, for one lane or for many.
//
// The range of the high word is cut into slices that grow finer towards its two ends, as thresholds lie there: a slice is
// a piece of an octave of the distance to the nearer end, as a floating-point number has pieces of octaves. Nearly every
// slice holds no threshold or one, so its entry, 32 bits, can say how many thresholds lie before the slice, and where the
// one inside is. Only integers are compared: the conversion to a float rounds nothing, and serves to find the octave.
#pragma once

#include <cstdint>
#include <cstring>

namespace purecert {

// Pieces of an octave, as a power of two. With 8 hardly any slice of sigma 1 holds two thresholds (2e-7 of the draws), and
// half of all draws read the same 2 KiB. A key's rest within its slice has 23 - 8 bits, the most that an entry leaves room for.
constexpr uint32_t kLeastSliceBits = 8;
constexpr uint32_t kMostSliceBits = 11;  // 393 KiB
constexpr uint32_t kMantissaBits = 23;
// Keys lie in 48 octaves, numbered as the exponent of a float is: 128 to 151 for the lower half of the range, and, as
// their complements, 104 to 127 for the upper.
constexpr uint32_t kFirstOctave = 104, kMiddleOctave = 128, kLastOctave = 151;

// An entry plus a key of its slice is 2^16 q + rest. Where the rest is 0, the key is that of a threshold, and where q is
// -32768, which no draw is, the slice holds several: both are decided by all 64 bits.
constexpr uint32_t kManyThresholds = 0x80000000u;

// Borrowed entries of one threshold table.
struct SliceView {
  const uint32_t* origin;  // where the entry of slice 0 would lie; the first there is belongs to kFirstOctave
  uint32_t shift;          // from a key to its slice
};

// The operations that a lane or a vector of lanes needs, for one lane.
template <int kBits>
inline uint32_t shift_right_signed(uint32_t value) {
  return static_cast<uint32_t>(static_cast<int32_t>(value) >> kBits);
}

inline uint32_t shift_right(uint32_t value, uint32_t bits) { return value >> bits; }

// Return the bits of the float of a signed integer.
inline uint32_t float_bits(uint32_t value) {
  const auto number = static_cast<float>(static_cast<int32_t>(value));
  uint32_t bits;
  std::memcpy(&bits, &number, sizeof bits);
  return bits;
}

inline uint32_t gather(const uint32_t* origin, uint32_t index) { return origin[index]; }

// Return a number that never falls as the high word grows, within the lower half of the range and within the upper.
// Read as signed, a high word is its distance to the nearer end, below 0 in the upper half. Its last 8 bits make room for
// one that is always set, so that the float holds all others exactly and is at least 2 away from 0.
template <class Vector>
inline Vector slice_key(const Vector& high) {
  const Vector near = float_bits((shift_right_signed<6>(high) & Vector(~3u)) | Vector(2u));
  return near ^ shift_right_signed<31>(near);
}

template <class Vector>
inline Vector slice_search(const SliceView& slices, const Vector& high) {
  const Vector key = slice_key(high);
  return gather(slices.origin, shift_right(key, slices.shift)) + key;
}

inline bool is_undecided(uint32_t found) {
  return (found & 0xFFFFu) == 0 || (found & 0xFFFF0000u) == kManyThresholds;
}

}  // namespace purecert
