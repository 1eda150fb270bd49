// The noise contract v1 (kernels/README.md): one integer noise value from one address, for host and device.
// Only integers are compared, so every device draws the same values.
#pragma once

#include <cstdint>
#include <cstring>

#include "purecert/philox.h"

namespace purecert {

constexpr int kNoiseContract = 1;
constexpr uint32_t kBlockElements = 4;  // one Philox block serves four neighbouring elements
constexpr int32_t kGridMin = -2048;     // with kGridMax: integers that half precision holds exactly
constexpr int32_t kGridMax = 2047;

// 2^13 entries keep the guide and the tops of sigma 1 in a 48 KiB first-level cache, and leave one draw in
// forty a search of more than one compare there.
constexpr uint32_t kGuideBits = 13;
constexpr uint32_t kGuideShift = 32 - kGuideBits;
constexpr uint32_t kGuideSize = (1u << kGuideBits) + 1;

// Borrowed arrays of one threshold table, in host or device memory.
struct ThresholdView {
  const uint64_t* full;   // [count], sorted: the thresholds T_j
  const uint32_t* top;    // [count + 1]: their high words, then the sentinel 2^32 - 1
  const uint16_t* guide;  // [kGuideSize]: guide[g] = number of tops below g << kGuideShift
  uint32_t count;         // 2J, at most 65534
};

// Everything that names a row of noise, except the element.
struct RowAddress {
  uint32_t key0, key1;  // low and high half of the seed
  uint32_t draw, image;
  uint32_t stream;  // 4 * purpose + 2 * phase; the half is added where words are made
};

PURECERT_HD inline RowAddress row_address(uint64_t seed, uint32_t image, uint32_t draw, uint32_t purpose,
                                          uint32_t phase) {
  return RowAddress{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32), draw, image,
                    4 * purpose + 2 * phase};
}

// Return the words of elements 4 * block .. 4 * block + 3; half 0 are the high words, half 1 the low ones.
template <class Word>
PURECERT_HD inline Words<Word> noise_words(const RowAddress& row, Word block, uint32_t half) {
  return philox4x32(Words<Word>{{block, Word(row.draw), Word(row.image), Word(row.stream + half)}}, row.key0, row.key1);
}

// Return how many of values[begin..end) are <= key, plus begin; the values are sorted.
template <class Value>
PURECERT_HD inline uint32_t upper_bound(const Value* values, uint32_t begin, uint32_t end, Value key) {
  while (begin < end) {
    const uint32_t middle = begin + (end - begin) / 2;
    if (values[middle] <= key) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

// Return q of element 4 * block + lane, whose high word is `high`.
// The low word can matter only where `high` is the high word of a threshold, so it is made only there.
PURECERT_HD inline int32_t noise_value(const ThresholdView& table, const RowAddress& row, uint32_t block,
                                       uint32_t lane, uint32_t high) {
  const uint32_t slice = high >> kGuideShift;
  const uint32_t begin = table.guide[slice];
  const uint32_t end = table.guide[slice + 1];
  // At most one threshold in the slice: one compare, and where there is none it meets a later slice's
  // threshold, which is larger. The sentinel can only make a tie, and a tie is decided on all 64 bits.
  uint32_t below = begin + (table.top[begin] <= high ? 1u : 0u);
  bool is_tie = table.top[begin] == high;
  if (end - begin > 1) {
    below = upper_bound(table.top, begin, end, high);
    is_tie = below > begin && table.top[below - 1] == high;
  }
  if (is_tie) {
    const uint64_t low = noise_words(row, block, 1).word[lane];
    below = upper_bound(table.full, 0u, table.count, (static_cast<uint64_t>(high) << 32) | low);
  }
  return static_cast<int32_t>(below) - static_cast<int32_t>(table.count / 2);
}

// Call store(lane, q) for the first `width` elements of a block. The loop has a fixed length, so that a device keeps
// the words in registers, where nothing can be indexed.
template <class Store>
PURECERT_HD inline void noise_block(const ThresholdView& table, const RowAddress& row, uint32_t block,
                                    uint32_t width, Store store) {
  const Words4 high = noise_words(row, block, 0);
  PURECERT_UNROLL
  for (uint32_t lane = 0; lane < kBlockElements; ++lane) {
    if (lane < width) store(lane, noise_value(table, row, block, lane, high.word[lane]));
  }
}

PURECERT_HD inline int32_t clip_to_grid(int32_t value) {
  return value < kGridMin ? kGridMin : (value > kGridMax ? kGridMax : value);
}

// Return the bits of `value` in half precision, for |value| <= 2048, where nothing is rounded: the single
// precision number holds the same mantissa 13 bits further up, under an exponent bias larger by 112.
PURECERT_HD inline uint16_t half_bits(int32_t value) {
  const float exact = static_cast<float>(value < 0 ? -value : value);
  uint32_t bits;
  std::memcpy(&bits, &exact, sizeof bits);
  const uint32_t magnitude = value == 0 ? 0u : (bits >> 13) - (112u << 10);
  return static_cast<uint16_t>(magnitude | (value < 0 ? 0x8000u : 0u));
}

}  // namespace purecert
