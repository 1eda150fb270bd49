#include "purecert/slice_table.h"

#include <cmath>

namespace purecert {
namespace {

constexpr uint32_t kOctaves = kLastOctave + 1 - kFirstOctave;
// A search that one read does not end takes some 50 times as long.
constexpr double kMostUndecided = 1.0 / 1024;

// The thresholds of one slice.
struct Slice {
  uint32_t count = 0;
  uint32_t last = 0;  // residue of the last one's key
};

std::vector<Slice> count_thresholds(const std::vector<uint32_t>& tops, uint32_t bits) {
  const uint32_t shift = kMantissaBits - bits;
  std::vector<Slice> slices(kOctaves << bits);
  for (const uint32_t top : tops) {
    const uint32_t key = slice_key(top);
    Slice& slice = slices[(key >> shift) - (kFirstOctave << bits)];
    ++slice.count;
    slice.last = key & ((1u << shift) - 1);
  }
  return slices;
}

// Return the share of high words that fall into slices of several thresholds.
double undecided_share(const std::vector<Slice>& slices, uint32_t bits) {
  double share = 0;
  for (size_t index = 0; index < slices.size(); ++index) {
    if (slices[index].count < 2) continue;
    const auto octave = static_cast<int>(kFirstOctave + (index >> bits));
    const int distance = octave < static_cast<int>(kMiddleOctave) ? 255 - octave : octave;  // of the complement, or itself
    // An octave of 2^d in the float is one of 2^(d + 6) in the high word, whose range is 2^32.
    share += std::ldexp(1.0, distance - 127 + 6 - 32 - static_cast<int>(bits));
  }
  return share;
}

uint32_t entry_of(const Slice& slice, uint32_t value_before) {
  if (slice.count > 1) return kManyThresholds;
  // A residue is below 2^15, so that half of 2^16 is never reached, nor passed into the value above it.
  const uint32_t rest = slice.count == 0 ? 0x8000u : 0x10000u - slice.last;
  return (value_before << 16) + rest;
}

std::vector<uint32_t> entries_of(const std::vector<Slice>& slices, uint32_t bits, uint32_t thresholds) {
  const auto middle = static_cast<uint32_t>((kMiddleOctave - kFirstOctave) << bits);
  const auto size = static_cast<uint32_t>(slices.size());
  std::vector<uint32_t> entries(size);
  uint32_t value = 0u - thresholds / 2;
  for (uint32_t step = 0; step < size; ++step) {
    const uint32_t index = (middle + step) % size;  // the lower half of the range has the later keys
    const uint32_t first_key = ((kFirstOctave << bits) + index) << (kMantissaBits - bits);
    entries[index] = entry_of(slices[index], value) - first_key;
    value += slices[index].count;
  }
  return entries;
}

}  // namespace

SliceTable make_slices(const std::vector<uint32_t>& tops) {
  uint32_t bits = kLeastSliceBits;
  std::vector<Slice> slices = count_thresholds(tops, bits);
  while (bits < kMostSliceBits && undecided_share(slices, bits) > kMostUndecided) {
    slices = count_thresholds(tops, ++bits);
  }
  return SliceTable{entries_of(slices, bits, static_cast<uint32_t>(tops.size())), bits};
}

SliceView view_of(const SliceTable& table) {
  // By way of an integer, because the language knows no pointer to before an array.
  const auto first = reinterpret_cast<uintptr_t>(table.entries.data());
  const uintptr_t origin = first - sizeof(uint32_t) * (static_cast<uintptr_t>(kFirstOctave) << table.bits);
  return SliceView{reinterpret_cast<const uint32_t*>(origin), kMantissaBits - table.bits};
}

}  // namespace purecert
