// Which draw each row of a batch is. The host writes a map once for many batches; the kernels of each batch read it,
// and the last of them moves on to the next batch, so that the host need not.
#pragma once

#include <cstdint>

#include "purecert/grid_noise.h"

namespace purecert {

// Consecutive draws of one image in consecutive rows.
struct Piece {
  uint32_t row;  // of the first draw, counted over all batches of the map
  uint32_t count;
  uint32_t slot;  // of the image's pixels
  uint32_t image;
  uint32_t phase;
  uint32_t first_draw;
  uint32_t segment;  // row of the counts to which its votes go
  uint32_t unused;   // keeps a piece at two loads of 16 bytes
};

// Lies before the pieces, as large as one of them.
struct RowMapHead {
  uint32_t pieces;
  uint32_t batch;  // that comes next
  uint32_t unused[6];
};

// A map in host or device memory: the head, then the pieces, sorted by row and apart from each other.
struct RowMapView {
  RowMapHead* head;

  PURECERT_HD const Piece* pieces() const { return reinterpret_cast<const Piece*>(head + 1); }
};

static_assert(sizeof(Piece) == 32 && sizeof(RowMapHead) == sizeof(Piece), "the host writes both as rows of 8 words");

// Return the piece that holds `row`, or null where the row is padding.
PURECERT_HD inline const Piece* find_piece(const RowMapView& map, uint32_t row) {
  uint32_t begin = 0, end = map.head->pieces;  // the answer is the last piece that begins at `row` or before
  while (begin < end) {
    const uint32_t middle = begin + (end - begin) / 2;
    if (map.pieces()[middle].row <= row) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  if (begin == 0) return nullptr;
  const Piece* const piece = map.pieces() + (begin - 1);
  return row - piece->row < piece->count ? piece : nullptr;
}

}  // namespace purecert
