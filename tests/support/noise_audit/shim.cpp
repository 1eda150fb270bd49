// The kernels' own arithmetic behind a C interface, whole or with one fault planted into it. The faults live here alone:
// the headers know nothing of them.
#include <algorithm>
#include <cstdint>
#include <utility>

#include "purecert/grid_noise.h"

namespace {

using purecert::kBlockElements;
using purecert::RowAddress;
using purecert::ThresholdView;

enum class Fault {  // in the order of shim.py
  none,
  tied_bits,
  repeated_block,
  stuck_counter,
  one_stream_for_two_phases,
  swapped_halves,
  swapped_ties,
  uniforms_of_24_bits,
  tail_cut,
};

// An address as the faulty generator understands it.
struct Place {
  RowAddress row;
  uint32_t block;
};

template <Fault fault>
Place misread(Place place) {
  if constexpr (fault == Fault::repeated_block) {
    if (place.block == 17) place.block = 16;  // once in every row
  }
  if constexpr (fault == Fault::stuck_counter) {
    if (place.row.draw % 64 == 63) place.row.draw -= 1;  // once in 64 draws it does not advance
  }
  if constexpr (fault == Fault::one_stream_for_two_phases) place.row.stream &= ~2u;
  // From one stream less, half 1 is the stream of the true high words, and 2 (below) that of the true low ones.
  if constexpr (fault == Fault::swapped_halves) place.row.stream -= 1;
  return place;
}

template <Fault fault>
constexpr uint32_t stream_half(uint32_t half) {
  return fault == Fault::swapped_halves && half == 0 ? 2 : half;
}

template <Fault fault>
uint32_t misshaped(uint32_t word) {
  if constexpr (fault == Fault::tied_bits) {
    if (word % 200 == 0) return (word & ~(1u << 30)) | ((word >> 31) << 30);  // .5 % of words: bit 30 copies bit 31
  }
  if constexpr (fault == Fault::uniforms_of_24_bits) return word & ~0xFFu;
  return word;
}

// Where the thresholds start whose high words lie in the slice of `high`, and where those of the next slice do.
std::pair<uint32_t, uint32_t> slice_of(const ThresholdView& table, uint32_t high) {
  const uint32_t slice = high >> purecert::kGuideShift;
  return {table.guide[slice], table.guide[slice + 1]};
}

int32_t searched(const ThresholdView& table, uint64_t uniform) {
  const auto [begin, end] = slice_of(table, static_cast<uint32_t>(uniform >> 32));
  const auto below = std::upper_bound(table.full + begin, table.full + end, uniform) - table.full;
  return static_cast<int32_t>(below) - static_cast<int32_t>(table.count / 2);
}

bool is_tie(const ThresholdView& table, uint32_t high) {
  const auto [begin, end] = slice_of(table, high);
  return std::binary_search(table.top + begin, table.top + end, high);
}

template <Fault fault>
int32_t value(const ThresholdView& table, const Place& place, uint32_t lane, uint32_t high, int32_t cut) {
  if constexpr (fault == Fault::uniforms_of_24_bits) return searched(table, uint64_t{high} << 32);
  if constexpr (fault == Fault::swapped_ties) {
    if (is_tie(table, high)) {
      const uint64_t low = purecert::noise_words(place.row, place.block, 1).word[lane];
      return searched(table, (low << 32) | high);
    }
  }
  const int32_t q = purecert::noise_value(table, place.row, place.block, lane, high);
  return fault == Fault::tail_cut ? std::clamp(q, -cut, cut) : q;
}

// Call store(element, place, lane, word) for every element of a row.
template <Fault fault, class Store>
void for_each_word(const RowAddress& row, uint64_t elements, uint32_t half, Store store) {
  for (uint64_t first = 0; first < elements; first += kBlockElements) {
    const Place place = misread<fault>({row, static_cast<uint32_t>(first / kBlockElements)});
    const auto words = purecert::noise_words(place.row, place.block, stream_half<fault>(half));
    for (uint32_t lane = 0; lane < kBlockElements; ++lane) {
      if (first + lane < elements) store(first + lane, place, lane, misshaped<fault>(words.word[lane]));
    }
  }
}

// Run `job` with the fault that `number` stands for.
template <class Job>
void with_fault(int number, Job job) {
  switch (static_cast<Fault>(number)) {
#define CASE(fault)  \
  case Fault::fault: \
    return job.template run<Fault::fault>()
    CASE(none);
    CASE(tied_bits);
    CASE(repeated_block);
    CASE(stuck_counter);
    CASE(one_stream_for_two_phases);
    CASE(swapped_halves);
    CASE(swapped_ties);
    CASE(uniforms_of_24_bits);
    CASE(tail_cut);
#undef CASE
  }
}

// Which rows to write: segments of (image, phase, first draw, draws).
struct Rows {
  uint64_t seed;
  uint32_t purpose;
  const int64_t* segments;
  uint64_t count, elements;

  // Call write(row address, number of the row) for every row.
  template <class Write>
  void for_each(Write write) const {
    uint64_t number = 0;
    for (const int64_t* segment = segments; segment < segments + 4 * count; segment += 4) {
      for (int64_t draw = 0; draw < segment[3]; ++draw) {
        write(purecert::row_address(seed, static_cast<uint32_t>(segment[0]), static_cast<uint32_t>(segment[2] + draw),
                                    purpose, static_cast<uint32_t>(segment[1])),
              number++);
      }
    }
  }
};

struct ValueJob {
  Rows rows;
  ThresholdView table;
  int32_t cut;
  int16_t* out;

  template <Fault fault>
  void run() const {
    rows.for_each([this](const RowAddress& row, uint64_t number) {
      int16_t* const target = out + number * rows.elements;
      for_each_word<fault>(row, rows.elements, 0, [&](uint64_t element, const Place& place, uint32_t lane, uint32_t high) {
        target[element] = static_cast<int16_t>(value<fault>(table, place, lane, high, cut));
      });
    });
  }
};

struct WordJob {
  Rows rows;
  uint32_t half;
  uint32_t* out;

  template <Fault fault>
  void run() const {
    rows.for_each([this](const RowAddress& row, uint64_t number) {
      uint32_t* const target = out + number * rows.elements;
      for_each_word<fault>(row, rows.elements, half, [=](uint64_t element, const Place&, uint32_t, uint32_t word) {
        target[element] = word;
      });
    });
  }
};

}  // namespace

extern "C" {

void fill_values(int fault, uint64_t seed, uint32_t purpose, const int64_t* segments, uint64_t count, uint64_t elements,
                 const uint64_t* full, const uint32_t* top, const uint16_t* guide, uint32_t thresholds, int32_t cut,
                 int16_t* out) {
  with_fault(fault, ValueJob{{seed, purpose, segments, count, elements}, {full, top, guide, thresholds}, cut, out});
}

void fill_words(int fault, uint64_t seed, uint32_t purpose, const int64_t* segments, uint64_t count, uint64_t elements,
                uint32_t half, uint32_t* out) {
  with_fault(fault, WordJob{{seed, purpose, segments, count, elements}, half, out});
}
}
