#include "purecert/noise_cpu.h"

#if defined(PURECERT_X86)
#include <cpuid.h>
#endif

#include <algorithm>
#include <thread>
#include <utility>

namespace purecert {
namespace {

// Elements that a thread must have to write, or starting it takes longer than it saves.
constexpr uint64_t kLeastElements = 1u << 16;

#if defined(PURECERT_X86)
bool has_f16c() {
  unsigned int a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

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
  slices_ = make_slices(top_);
  top_.push_back(UINT32_MAX);
}

ThresholdView ThresholdTable::view() const {
  return ThresholdView{full_.data(), top_.data(), guide_.data(), static_cast<uint32_t>(full_.size())};
}

HostTable ThresholdTable::host_view() const { return HostTable{view(), view_of(slices_)}; }

int32_t exact_value(const ThresholdView& table, const RowAddress& row, uint32_t block, uint32_t lane) {
  return noise_value(table, row, block, lane, noise_words(row, block, 0).word[lane]);
}

const std::vector<const RowFunctions*>& row_paths() {
  static const std::vector<const RowFunctions*> paths = [] {
    std::vector<const RowFunctions*> found;
#if defined(PURECERT_X86)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) found.push_back(&kAvx512Rows);
    if (__builtin_cpu_supports("avx2") && has_f16c()) found.push_back(&kAvx2Rows);
#endif
    found.push_back(&kPortableRows);
    return found;
  }();
  return paths;
}

void fill_rows(const RowFunctions& path, const ThresholdTable& table, const FillJob& job, uint64_t threads) {
  const HostTable view = table.host_view();
  uint64_t rows = 0;
  for (size_t index = 0; index < job.segment_count; ++index) rows += job.segments[index].count;
  const uint64_t worthwhile = std::max<uint64_t>(1, rows * job.elements / kLeastElements);
  const uint64_t parts = std::max<uint64_t>(1, std::min({threads, rows, worthwhile}));
  const auto part_begin = [=](uint64_t part) { return rows / parts * part + std::min(part, rows % parts); };
  ThreadGroup group;
  for (uint64_t part = 1; part < parts; ++part) {
    group.start([&path, &view, &job, begin = part_begin(part), end = part_begin(part + 1)] {
      path.fill(view, job, begin, end);
    });
  }
  path.fill(view, job, 0, part_begin(1));
}

}  // namespace purecert
