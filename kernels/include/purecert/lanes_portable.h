// One block at a time, in plain C++: for any processor, and the form that the vectors are compared with.
#pragma once

#include "purecert/noise_rows.h"

namespace purecert {

struct PortableLanes {
  static constexpr uint32_t kBlocks = 1;
  static constexpr uint32_t kBlockOfLane[kBlocks] = {0};
  using Word = uint32_t;
  using Vector = uint32_t;
  struct Group {
    int32_t value[kBlockElements];
  };

  static Word blocks(uint32_t first) { return first; }
  static Vector vector(Word word) { return word; }

  static bool is_any_undecided(const Vector (&found)[kBlockElements]) {
    bool any = false;
    for (const Vector each : found) any |= is_undecided(each);
    return any;
  }

  static Group interleave(const Vector (&found)[kBlockElements]) {
    Group group;
    for (uint32_t word = 0; word < kBlockElements; ++word) {
      group.value[word] = static_cast<int32_t>(shift_right_signed<16>(found[word]));
    }
    return group;
  }

  static Group add(Group group, const uint8_t* image) {
    for (uint32_t word = 0; word < kBlockElements; ++word) group.value[word] += image[word];
    return group;
  }

  static Group clip(Group group) {
    for (int32_t& value : group.value) value = clip_to_grid(value);
    return group;
  }

  template <class Format>
  static void store(const Group& group, typename Format::Type* out, Format) {
    for (uint32_t word = 0; word < kBlockElements; ++word) out[word] = Format::convert(group.value[word]);
  }
};

}  // namespace purecert
