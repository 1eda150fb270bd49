// Noise rows on the host: the interface between bindings.cpp, which checks, and noise_cpu.cpp, which searches and threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "purecert/noise_rows.h"
#include "purecert/slice_table.h"

namespace purecert {

// One sigma's thresholds with the tables that make the search short: the guide for devices and for what one read of a
// slice does not decide, the slices for the host.
class ThresholdTable {
 public:
  // The thresholds are sorted and at most 65534.
  explicit ThresholdTable(std::vector<uint64_t> thresholds);
  ThresholdView view() const;
  HostTable host_view() const;

 private:
  std::vector<uint64_t> full_;
  std::vector<uint32_t> top_;
  std::vector<uint16_t> guide_;
  SliceTable slices_;
};

// Return what this processor can run, the fastest first; the last one is "portable".
const std::vector<const RowFunctions*>& row_paths();

// Write clip(image + q) into consecutive rows, segment after segment. Rows are independent of each other, so neither the
// path nor the number of threads can change a value.
void fill_rows(const RowFunctions& path, const ThresholdTable& table, const FillJob& job, uint64_t threads);

}  // namespace purecert
