// One batch of a compiled graph: the noise that goes in and the votes that come out. The interface of the bindings to
// two builds of the same templates: batch_host.cpp for the host, batch_cuda.cu for a GPU. The caller has checked
// every range; the addresses are of the memory that the build works on.
#pragma once

#include <cstdint>

#include "purecert/formats.h"
#include "purecert/row_map.h"

namespace purecert {

struct NoiseBatch {
  ThresholdView table;
  RowMapView map;
  const uint8_t* images;  // [slots, channels, pixels], or null for noise alone
  uint64_t seed;
  uint32_t purpose;
  uint32_t rows;
  uint32_t channels;
  uint32_t pixels;     // elements of one channel
  bool channels_last;  // [rows, pixels, channels], else [rows, channels, pixels]
  Element element;     // float16 or float32
  void* out;
};

struct VoteBatch {
  RowMapView map;
  const int32_t* labels;  // [rows]
  uint32_t rows;
  uint32_t classes;
  uint32_t* counts;  // [segments, classes + 2]: the classes, invalid rows (label -1), labels that are none
};

// Write the map's next batch into `out`: clip(image + q) or clip(q), and zeros into padding. A stream is a
// cudaStream_t; the host ignores it. Throw std::runtime_error where the device refuses.
void fill_batch(const NoiseBatch& batch, void* stream);

// Add the votes of the map's next batch to `counts`, and move the map on.
void count_votes(const VoteBatch& batch, void* stream);

}  // namespace purecert
