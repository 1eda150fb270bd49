// What one thread does for a batch, written once for host and device.
#pragma once

#include <cstring>

#include "purecert/batch.h"

namespace purecert {

constexpr uint32_t kStoreBytes = 16;

// What is written, and read, with one instruction.
struct alignas(kStoreBytes) Store {
  uint32_t word[kStoreBytes / 4];
};

template <class Format>
constexpr uint32_t kStoreElements = kStoreBytes / sizeof(typename Format::Type);

// Where one row of the batch comes from.
struct BatchRow {
  bool is_padding;
  RowAddress address;
  const uint8_t* image;  // null for noise alone
};

PURECERT_HD inline BatchRow batch_row(const NoiseBatch& batch, uint32_t row) {
  const uint32_t position = batch.map.head->batch * batch.rows + row;
  const Piece* const piece = find_piece(batch.map, position);
  if (piece == nullptr) return BatchRow{true, {}, nullptr};
  const uint32_t draw = piece->first_draw + (position - piece->row);
  const uint64_t row_bytes = static_cast<uint64_t>(batch.channels) * batch.pixels;
  const uint8_t* const image = batch.images == nullptr ? nullptr : batch.images + piece->slot * row_bytes;
  return BatchRow{false, row_address(batch.seed, piece->image, draw, batch.purpose, piece->phase), image};
}

PURECERT_HD inline int32_t noisy(const BatchRow& row, int32_t pixel, int32_t q) {
  return clip_to_grid(row.image == nullptr ? q : pixel + q);
}

// Write `kStoreElements` neighbouring pixels of all channels, which lie together in the output: as many stores of 16
// bytes as there are channels. `Channels` is the number in a pixel of the output: 1 also where whole channels follow
// each other, and then `pixels` counts all elements. `pixels` is a multiple of `kStoreElements`.
template <class Format, uint32_t Channels>
PURECERT_HD inline void fill_stores(const NoiseBatch& batch, uint32_t pixels, const BatchRow& row, uint32_t first,
                                    Store* out) {
  constexpr uint32_t kWidth = kStoreElements<Format>;
  typename Format::Type values[kWidth * Channels];
  PURECERT_UNROLL
  for (uint32_t channel = 0; channel < Channels; ++channel) {
    const uint32_t element = channel * pixels + first;
    alignas(kWidth) uint8_t image[kWidth] = {};
    if (row.image != nullptr) std::memcpy(image, __builtin_assume_aligned(row.image + element, kWidth), kWidth);
    PURECERT_UNROLL
    for (uint32_t part = 0; part < kWidth; part += kBlockElements) {
      noise_block(batch.table, row.address, (element + part) / kBlockElements, kBlockElements,
                  [&](uint32_t lane, int32_t q) {
                    values[(part + lane) * Channels + channel] = Format::convert(noisy(row, image[part + lane], q));
                  });
    }
  }
  PURECERT_UNROLL
  for (uint32_t store = 0; store < Channels; ++store) {
    Store packed;
    std::memcpy(&packed, values + store * kWidth, sizeof packed);
    out[store] = packed;
  }
}

// Write one unit of the batch with whole stores; there are `rows * pixels / kStoreElements` units.
template <class Format, uint32_t Channels>
PURECERT_HD inline void fill_unit(const NoiseBatch& batch, uint32_t unit) {
  const uint32_t pixels = Channels == 1 ? batch.channels * batch.pixels : batch.pixels;
  const uint32_t units = pixels / kStoreElements<Format>;  // of one row
  const uint32_t row = unit / units;
  auto* const out = static_cast<Store*>(batch.out) + static_cast<uint64_t>(unit) * Channels;
  const BatchRow source = batch_row(batch, row);
  if (source.is_padding) {
    for (uint32_t store = 0; store < Channels; ++store) out[store] = Store{};
  } else {
    fill_stores<Format, Channels>(batch, pixels, source, (unit - row * units) * kStoreElements<Format>, out);
  }
}

// Write the elements of one noise block, wherever they lie: for shapes that whole stores do not fit. There are
// `rows * ceil(channels * pixels / kBlockElements)` blocks.
template <class Format>
PURECERT_HD inline void fill_any_block(const NoiseBatch& batch, uint32_t number) {
  const uint32_t elements = batch.channels * batch.pixels;
  const uint32_t blocks = (elements + kBlockElements - 1) / kBlockElements;  // of one row
  const uint32_t row = number / blocks, block = number - row * blocks;
  const uint32_t first = block * kBlockElements;
  const uint32_t width = elements - first < kBlockElements ? elements - first : kBlockElements;
  auto* const out = static_cast<typename Format::Type*>(batch.out) + static_cast<uint64_t>(row) * elements;
  const auto place = [&](uint32_t element) {
    return batch.channels_last ? element % batch.pixels * batch.channels + element / batch.pixels : element;
  };
  const BatchRow source = batch_row(batch, row);
  if (source.is_padding) {
    for (uint32_t lane = 0; lane < width; ++lane) out[place(first + lane)] = Format::convert(0);
    return;
  }
  noise_block(batch.table, source.address, block, width, [&](uint32_t lane, int32_t q) {
    const int32_t pixel = source.image == nullptr ? 0 : source.image[first + lane];
    out[place(first + lane)] = Format::convert(noisy(source, pixel, q));
  });
}

// Call add(counter) with the counter of one row's vote; rows of padding have none.
template <class Add>
PURECERT_HD inline void vote(const VoteBatch& batch, uint32_t first_row, uint32_t row, Add add) {
  const Piece* const piece = find_piece(batch.map, first_row + row);
  if (piece == nullptr) return;
  const int32_t label = batch.labels[row];
  const bool is_class = label >= 0 && static_cast<uint32_t>(label) < batch.classes;
  const uint32_t column = is_class ? static_cast<uint32_t>(label) : (label == -1 ? batch.classes : batch.classes + 1);
  add(batch.counts + static_cast<uint64_t>(piece->segment) * (batch.classes + 2) + column);
}

// Call run(tag) with the template arguments that suit the batch: `run.template stores<Format, Channels>(units)` where
// whole stores fit, else `run.template blocks<Format>(blocks)`.
template <class Format, class Run>
void dispatch_layout(const NoiseBatch& batch, Run& run) {
  const uint32_t elements = batch.channels * batch.pixels;
  const bool is_interleaved = batch.channels_last && batch.channels > 1;
  if (!is_interleaved && elements % kStoreElements<Format> == 0) {
    run.template stores<Format, 1>(batch.rows * (elements / kStoreElements<Format>));
  } else if (is_interleaved && batch.channels == 3 && batch.pixels % kStoreElements<Format> == 0) {
    run.template stores<Format, 3>(batch.rows * (batch.pixels / kStoreElements<Format>));
  } else {
    run.template blocks<Format>(batch.rows * ((elements + kBlockElements - 1) / kBlockElements));
  }
}

template <class Run>
void dispatch(const NoiseBatch& batch, Run& run) {
  if (batch.element == Element::float32) {
    dispatch_layout<AsFloat>(batch, run);
  } else {
    dispatch_layout<AsHalf>(batch, run);
  }
}

}  // namespace purecert
