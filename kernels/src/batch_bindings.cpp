#include "batch_bindings.h"

#include <nanobind/stl/string.h>

#include <string>

#include "binding_checks.h"
#include "purecert/batch.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace purecert {
namespace {

constexpr uint64_t kMaxPurpose = (uint64_t{1} << 30) - 1;  // 4 * purpose + 3 is a counter word
constexpr uint64_t kMaxThresholds = 65534;                 // |q| <= 32767
constexpr uint64_t kMaxElements = UINT32_MAX / 2;          // of a batch: kernels count them in 32 bits
constexpr uint64_t kMaxClasses = uint64_t{1} << 24;

template <class Type>
Type* address(const nb::int_& value, const char* name) {
  return reinterpret_cast<Type*>(integer(value, name, UINT64_MAX));
}

Element element_named(const std::string& name) {
  require(name == "float16" || name == "float32", "element float16 or float32", name);
  return name == "float16" ? Element::float16 : Element::float32;
}

ThresholdView table_at(const nb::tuple& addresses, const nb::int_& thresholds) {
  require(nb::len(addresses) == 3, "table to be 3 addresses", std::to_string(nb::len(addresses)));
  const auto part = [&](size_t index) { return nb::cast<nb::int_>(addresses[index]); };
  return ThresholdView{address<const uint64_t>(part(0), "thresholds' address"),
                       address<const uint32_t>(part(1), "tops' address"),
                       address<const uint16_t>(part(2), "guide's address"),
                       static_cast<uint32_t>(integer(thresholds, "thresholds", kMaxThresholds))};
}

void fill(const nb::tuple& table, const nb::int_& thresholds, const nb::int_& map, const nb::int_& images,
          const nb::int_& seed, const nb::int_& purpose, const nb::tuple& shape, bool channels_last,
          const std::string& element, const nb::int_& out, const nb::int_& stream) {
  require(nb::len(shape) == 3, "shape (rows, channels, pixels)", std::to_string(nb::len(shape)) + " numbers");
  const auto extent = [&](size_t axis, const char* name) {
    return integer(nb::cast<nb::int_>(shape[axis]), name, kMaxElements);
  };
  const uint64_t rows = extent(0, "rows"), channels = extent(1, "channels"), pixels = extent(2, "pixels");
  const bool is_small = channels * pixels <= kMaxElements && rows * (channels * pixels) <= kMaxElements;
  require(is_small && rows * channels * pixels > 0, "1 to 2**31 - 1 elements in a batch",
          std::to_string(rows) + " x " + std::to_string(channels) + " x " + std::to_string(pixels));
  NoiseBatch batch{};
  batch.table = table_at(table, thresholds);
  batch.map = RowMapView{address<RowMapHead>(map, "map")};
  batch.images = address<const uint8_t>(images, "images");
  batch.seed = integer(seed, "seed", UINT64_MAX);
  batch.purpose = static_cast<uint32_t>(integer(purpose, "purpose", kMaxPurpose));
  batch.rows = static_cast<uint32_t>(rows);
  batch.channels = static_cast<uint32_t>(channels);
  batch.pixels = static_cast<uint32_t>(pixels);
  batch.channels_last = channels_last;
  batch.element = element_named(element);
  batch.out = address<void>(out, "out");
  void* const queue = address<void>(stream, "stream");
  const nb::gil_scoped_release release;
  fill_batch(batch, queue);
}

void count(const nb::int_& map, const nb::int_& labels, const nb::int_& rows, const nb::int_& classes,
           const nb::int_& counts, const nb::int_& stream) {
  VoteBatch batch{};
  batch.map = RowMapView{address<RowMapHead>(map, "map")};
  batch.labels = address<const int32_t>(labels, "labels");
  batch.rows = static_cast<uint32_t>(integer(rows, "rows", kMaxElements));
  batch.classes = static_cast<uint32_t>(integer(classes, "classes", kMaxClasses));
  batch.counts = address<uint32_t>(counts, "counts");
  void* const queue = address<void>(stream, "stream");
  const nb::gil_scoped_release release;
  count_votes(batch, queue);
}

}  // namespace

void bind_batch(nb::module_& module) {
  module.def("fill_batch", &fill, nb::kw_only(), "table"_a, "thresholds"_a, "map"_a, "images"_a, "seed"_a, "purpose"_a,
             "shape"_a, "channels_last"_a, "element"_a, "out"_a, "stream"_a,
             nb::sig("def fill_batch(*, table: tuple[int, int, int], thresholds: int, map: int, images: int, "
                     "seed: int, purpose: int, shape: tuple[int, int, int], channels_last: bool, element: str, "
                     "out: int, stream: int) -> None"),
             "Write the noise of the map's next batch; every array is an address (batch.h), which nothing here checks.");
  module.def("count_votes", &count, nb::kw_only(), "map"_a, "labels"_a, "rows"_a, "classes"_a, "counts"_a, "stream"_a,
             nb::sig("def count_votes(*, map: int, labels: int, rows: int, classes: int, counts: int, stream: int) "
                     "-> None"),
             "Add the votes of the map's next batch and move the map on; every array is an address (batch.h).");
}

}  // namespace purecert
