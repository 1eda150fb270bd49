// How the entries of slices.h are made.
#pragma once

#include <cstdint>
#include <vector>

#include "purecert/slices.h"

namespace purecert {

struct SliceTable {
  std::vector<uint32_t> entries;  // 48 << bits
  uint32_t bits;                  // pieces of an octave, as a power of two
};

// Return the slices of sorted thresholds, given by their high words: as few pieces of an octave as leave one draw in a
// thousand, at the most, in a slice of several thresholds.
SliceTable make_slices(const std::vector<uint32_t>& tops);

SliceView view_of(const SliceTable& table);

}  // namespace purecert
