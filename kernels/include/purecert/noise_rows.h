// The loop over rows of noise on the host, written once for every instruction set. `Lanes` says how many blocks are made
// at a time and how: lanes_portable.h, lanes_avx2.h, lanes_avx512.h.
//
// A file that is compiled for an instruction set must not leave behind functions that others could link to, or a
// processor without it would run them: whatever is used here is a template over Lanes, or defined in noise_cpu.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "purecert/formats.h"
#include "purecert/slices.h"

namespace purecert {

// One sigma's thresholds as the host searches them.
struct HostTable {
  ThresholdView thresholds;
  SliceView slices;
};

// Consecutive draws of one image and phase.
struct Segment {
  uint64_t slot;  // row of `images`; not read where there are none
  uint32_t image;
  uint32_t phase;
  uint64_t first_draw;
  uint64_t count;
};

// Rows of noise to write. The caller has checked every range.
struct FillJob {
  uint64_t seed;
  uint32_t purpose;
  const Segment* segments;
  size_t segment_count;
  const uint8_t* images;  // [slots, elements], or null for noise alone
  uint64_t elements;
  void* out;  // [rows, elements], rows = sum of the segments' counts
  Element element;
};

// What one instruction set offers.
struct RowFunctions {
  const char* name;
  // Write rows [begin, end) of the job.
  void (*fill)(const HostTable& table, const FillJob& job, uint64_t begin, uint64_t end);
  // Write q of elements 0 .. count - 1 of one row, before image and clip.
  void (*draw)(const HostTable& table, const RowAddress& row, int16_t* out, uint64_t count);
};

extern const RowFunctions kPortableRows;
#if defined(PURECERT_X86)
extern const RowFunctions kAvx2Rows, kAvx512Rows;
#endif

// Return q of element 4 * block + lane, by all 64 bits where need be.
int32_t exact_value(const ThresholdView& table, const RowAddress& row, uint32_t block, uint32_t lane);

// What a row holds.
enum class Content { noise, clipped_noise, noisy_image };

// Put what the thresholds say into those of `found` that one read did not decide.
template <class Lanes>
__attribute__((noinline, cold)) void decide(const HostTable& table, const RowAddress& row, uint32_t block,
                                            typename Lanes::Vector (&found)[kBlockElements]) {
  for (uint32_t word = 0; word < kBlockElements; ++word) {
    uint32_t lanes[Lanes::kBlocks];
    std::memcpy(lanes, &found[word], sizeof lanes);
    for (uint32_t lane = 0; lane < Lanes::kBlocks; ++lane) {
      if (!is_undecided(lanes[lane])) continue;
      const int32_t value = exact_value(table.thresholds, row, block + Lanes::kBlockOfLane[lane], word);
      lanes[lane] = static_cast<uint32_t>(value) << 16;
    }
    std::memcpy(&found[word], lanes, sizeof lanes);
  }
}

// Return q of the elements of `Lanes::kBlocks` blocks, in their order.
template <class Lanes>
inline typename Lanes::Group noise_group(const HostTable& table, const RowAddress& row, uint32_t block) {
  const Words<typename Lanes::Word> high = noise_words(row, Lanes::blocks(block), 0);
  typename Lanes::Vector found[kBlockElements];
  for (uint32_t word = 0; word < kBlockElements; ++word) {
    found[word] = slice_search(table.slices, Lanes::vector(high.word[word]));
  }
  if (Lanes::is_any_undecided(found)) decide<Lanes>(table, row, block, found);
  return Lanes::interleave(found);
}

template <class Lanes>
constexpr uint32_t kGroupElements = Lanes::kBlocks * kBlockElements;

// Write one group; `image` is read for noisy images only.
template <class Lanes, class Format, Content kContent>
inline void write_group(const HostTable& table, const RowAddress& row, uint64_t first, const uint8_t* image,
                        typename Format::Type* out) {
  typename Lanes::Group group = noise_group<Lanes>(table, row, static_cast<uint32_t>(first / kBlockElements));
  if constexpr (kContent == Content::noisy_image) group = Lanes::add(group, image);
  if constexpr (kContent != Content::noise) group = Lanes::clip(group);
  Lanes::store(group, out, Format{});
}

// Write one row. The last group of a row may be longer than what is left of it, so it takes a detour.
template <class Lanes, class Format, Content kContent>
void write_row(const HostTable& table, const RowAddress& row, const uint8_t* image, uint64_t elements,
               typename Format::Type* out) {
  constexpr uint32_t kGroup = kGroupElements<Lanes>;
  constexpr bool kHasImage = kContent == Content::noisy_image;
  const size_t rest = elements % kGroup;
  const uint64_t whole = elements - rest;
  for (uint64_t first = 0; first < whole; first += kGroup) {
    write_group<Lanes, Format, kContent>(table, row, first, kHasImage ? image + first : nullptr, out + first);
  }
  if (rest == 0) return;
  uint8_t pixels[kGroup] = {};
  typename Format::Type values[kGroup];
  if (kHasImage) std::memcpy(pixels, image + whole, rest);
  write_group<Lanes, Format, kContent>(table, row, whole, pixels, values);
  std::memcpy(out + whole, values, rest * sizeof values[0]);
}

template <class Lanes, class Format>
void fill_rows_as(const HostTable& table, const FillJob& job, uint64_t begin, uint64_t end) {
  auto* const out = static_cast<typename Format::Type*>(job.out);
  uint64_t segment_begin = 0;
  for (size_t index = 0; index < job.segment_count; ++index) {
    const Segment& segment = job.segments[index];
    const uint64_t segment_end = segment_begin + segment.count;
    const uint64_t last = end < segment_end ? end : segment_end;
    for (uint64_t row = begin > segment_begin ? begin : segment_begin; row < last; ++row) {
      const auto draw = static_cast<uint32_t>(segment.first_draw + (row - segment_begin));
      const RowAddress address = row_address(job.seed, segment.image, draw, job.purpose, segment.phase);
      auto* const target = out + row * job.elements;
      if (job.images == nullptr) {
        write_row<Lanes, Format, Content::clipped_noise>(table, address, nullptr, job.elements, target);
      } else {
        const uint8_t* const image = job.images + segment.slot * job.elements;
        write_row<Lanes, Format, Content::noisy_image>(table, address, image, job.elements, target);
      }
    }
    segment_begin = segment_end;
  }
}

template <class Lanes>
void fill_rows(const HostTable& table, const FillJob& job, uint64_t begin, uint64_t end) {
  switch (job.element) {
    case Element::int16:
      return fill_rows_as<Lanes, AsInt16>(table, job, begin, end);
    case Element::float16:
      return fill_rows_as<Lanes, AsHalf>(table, job, begin, end);
    case Element::float32:
      return fill_rows_as<Lanes, AsFloat>(table, job, begin, end);
  }
}

template <class Lanes>
void draw_row(const HostTable& table, const RowAddress& row, int16_t* out, uint64_t count) {
  write_row<Lanes, AsInt16, Content::noise>(table, row, nullptr, count, out);
}

template <class Lanes>
constexpr RowFunctions row_functions(const char* name) {
  return RowFunctions{name, &fill_rows<Lanes>, &draw_row<Lanes>};
}

}  // namespace purecert
