#include "purecert/noise_cpu.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace purecert {
namespace {

// Call store(element, q) for every element of a row.
template <class Store>
void for_each_element(const ThresholdView& table, const RowAddress& row, uint64_t elements, Store store) {
  for (uint64_t first = 0; first < elements; first += kBlockElements) {
    const uint64_t width = std::min<uint64_t>(kBlockElements, elements - first);
    noise_block(table, row, static_cast<uint32_t>(first / kBlockElements), static_cast<uint32_t>(width),
                [&](uint32_t lane, int32_t q) { store(first + lane, q); });
  }
}

template <class Format>
void fill_row(const ThresholdView& table, const RowAddress& row, const uint8_t* image, uint64_t elements,
              typename Format::Type* out) {
  if (image == nullptr) {
    for_each_element(table, row, elements,
                     [=](uint64_t element, int32_t q) { out[element] = Format::convert(clip_to_grid(q)); });
  } else {
    for_each_element(table, row, elements, [=](uint64_t element, int32_t q) {
      out[element] = Format::convert(clip_to_grid(image[element] + q));
    });
  }
}

// Fill rows [begin, end) of the whole job.
template <class Format>
void fill_range(const ThresholdView& table, const FillJob& job, uint64_t begin, uint64_t end) {
  auto* const out = static_cast<typename Format::Type*>(job.out);
  uint64_t segment_begin = 0;
  for (const Segment& segment : job.segments) {
    const uint64_t segment_end = segment_begin + segment.count;
    const uint8_t* const image = job.images == nullptr ? nullptr : job.images + segment.slot * job.elements;
    for (uint64_t row = std::max(begin, segment_begin); row < std::min(end, segment_end); ++row) {
      const auto draw = static_cast<uint32_t>(segment.first_draw + (row - segment_begin));
      fill_row<Format>(table, row_address(job.seed, segment.image, draw, job.purpose, segment.phase), image,
                       job.elements, out + row * job.elements);
    }
    segment_begin = segment_end;
  }
}

// Joins what it started even where starting a later thread throws.
class ThreadGroup {
 public:
  ThreadGroup() = default;
  ThreadGroup(const ThreadGroup&) = delete;
  ThreadGroup& operator=(const ThreadGroup&) = delete;
  ~ThreadGroup() {
    for (std::thread& thread : threads_) thread.join();
  }
  template <class Work>
  void start(Work work) {
    threads_.emplace_back(std::move(work));
  }

 private:
  std::vector<std::thread> threads_;
};

template <class Format>
void fill_threaded(const ThresholdView& table, const FillJob& job) {
  uint64_t rows = 0;
  for (const Segment& segment : job.segments) rows += segment.count;
  const uint64_t parts = std::max<uint64_t>(1, std::min(job.threads, rows));
  const auto part_begin = [=](uint64_t part) { return rows / parts * part + std::min(part, rows % parts); };
  ThreadGroup group;
  for (uint64_t part = 1; part < parts; ++part) {
    group.start([&table, &job, begin = part_begin(part), end = part_begin(part + 1)] {
      fill_range<Format>(table, job, begin, end);
    });
  }
  fill_range<Format>(table, job, 0, part_begin(1));
}

}  // namespace

ThresholdTable::ThresholdTable(std::vector<uint64_t> thresholds)
    : full_(std::move(thresholds)), guide_(kGuideSize) {
  top_.reserve(full_.size() + 1);
  for (const uint64_t threshold : full_) top_.push_back(static_cast<uint32_t>(threshold >> 32));
  for (uint32_t slice = 0; slice < kGuideSize; ++slice) {
    const uint64_t slice_begin = static_cast<uint64_t>(slice) << kGuideShift;
    const auto first = std::lower_bound(top_.begin(), top_.end(), slice_begin);
    guide_[slice] = static_cast<uint16_t>(first - top_.begin());
  }
  top_.push_back(UINT32_MAX);
}

ThresholdView ThresholdTable::view() const {
  return ThresholdView{full_.data(), top_.data(), guide_.data(), static_cast<uint32_t>(full_.size())};
}

void fill_rows(const ThresholdTable& table, const FillJob& job) {
  const ThresholdView view = table.view();
  switch (job.element) {
    case Element::int16:
      return fill_threaded<AsInt16>(view, job);
    case Element::float16:
      return fill_threaded<AsHalf>(view, job);
    case Element::float32:
      return fill_threaded<AsFloat>(view, job);
  }
}

void draw_row(const ThresholdTable& table, const RowAddress& row, int16_t* out, uint64_t count) {
  for_each_element(table.view(), row, count,
                   [=](uint64_t element, int32_t q) { out[element] = static_cast<int16_t>(q); });
}

}  // namespace purecert
