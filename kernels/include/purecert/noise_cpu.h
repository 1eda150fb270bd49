// Noise rows on the host: the interface between bindings.cpp, which checks, and noise_cpu.cpp, which loops.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "purecert/formats.h"

namespace purecert {

// One sigma's thresholds with the tables that make the search short.
class ThresholdTable {
 public:
  // The thresholds are sorted and at most 65534.
  explicit ThresholdTable(std::vector<uint64_t> thresholds);
  ThresholdView view() const;

 private:
  std::vector<uint64_t> full_;
  std::vector<uint32_t> top_;
  std::vector<uint16_t> guide_;
};

// Consecutive draws of one image and phase.
struct Segment {
  uint64_t slot;  // row of `images`; not read where there are none
  uint32_t image;
  uint32_t phase;
  uint64_t first_draw;
  uint64_t count;
};

// One call of fill_rows. The caller has checked every range.
struct FillJob {
  uint64_t seed;
  uint32_t purpose;
  std::vector<Segment> segments;
  const uint8_t* images;  // [slots, elements], or null for noise alone
  uint64_t elements;
  void* out;  // [rows, elements], rows = sum of the segments' counts
  Element element;
  uint64_t threads;  // at least 1
};

// Write clip(image + q) into consecutive rows, segment after segment. Rows are independent of each other, so
// the number of threads cannot change a value.
void fill_rows(const ThresholdTable& table, const FillJob& job);

// Write q of elements 0 .. count - 1 of one row, before image and clip.
void draw_row(const ThresholdTable& table, const RowAddress& row, int16_t* out, uint64_t count);

}  // namespace purecert
