// The Python face of the native kernels: check every argument, free the GIL, forward. No arithmetic here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "batch_bindings.h"
#include "binding_checks.h"
#include "purecert/noise_cpu.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using purecert::Element;
using purecert::integer;
using purecert::require;
using purecert::FillJob;
using purecert::Segment;
using purecert::ThresholdTable;

using Input = nb::ndarray<nb::numpy, nb::ro, nb::device::cpu>;
using Output = nb::ndarray<nb::numpy, nb::device::cpu>;

constexpr uint64_t kWordRange = uint64_t{1} << 32;
constexpr uint64_t kMaxPurpose = (uint64_t{1} << 30) - 1;  // 4 * purpose + 3 is a counter word
constexpr uint64_t kMaxElements = kWordRange * purecert::kBlockElements;
constexpr uint64_t kMaxThresholds = 65534;  // |q| <= 32767
constexpr uint64_t kMaxThreads = 1024;
constexpr uint64_t kAnySlot = uint64_t{1} << 63;  // noise alone reads no slot
constexpr uint64_t kSegmentColumns = 5;

template <class Size>
std::string list_of(size_t ndim, const Size& size) {
  std::string text = "[";
  for (size_t axis = 0; axis < ndim; ++axis) text += (axis == 0 ? "" : ", ") + std::to_string(size(axis));
  return text + "]";
}

template <class Array>
std::string describe(const Array& array) {
  static constexpr const char* kKinds[] = {"int", "uint", "float"};
  const auto type = array.dtype();
  return (type.code < 3 ? kKinds[type.code] : "type") + std::to_string(type.bits) + " " +
         list_of(array.ndim(), [&](size_t axis) { return array.shape(axis); });
}

template <class Array>
bool is_contiguous(const Array& array) {
  if (array.size() == 0) return true;
  int64_t stride = 1;
  for (size_t axis = array.ndim(); axis-- > 0;) {
    if (array.shape(axis) > 1 && array.stride(axis) != stride) return false;
    stride *= static_cast<int64_t>(array.shape(axis));
  }
  return true;
}

template <class Array>
void require_contiguous(const Array& array, const std::string& name) {
  require(is_contiguous(array), name + " to be C-contiguous",
          "strides " + list_of(array.ndim(), [&](size_t axis) { return array.stride(axis); }) + " in elements");
}

template <class Type, class Array>
void require_array(const Array& array, const std::string& name, const std::string& form, size_t ndim) {
  require(array.ndim() == ndim && array.dtype() == nb::dtype<Type>(), name + " to be " + form, describe(array));
  require_contiguous(array, name);
}

Element element_of(const Output& out) {
  const auto type = out.dtype();
  if (type == nb::dtype<int16_t>()) return Element::int16;
  if (type == nb::dtype<float>()) return Element::float32;
  const bool is_half = type.code == static_cast<uint8_t>(nb::dlpack::dtype_code::Float) && type.bits == 16;
  require(is_half, "out to be int16, float16 or float32", describe(out));
  return Element::float16;
}

Segment segment_of(const int64_t* row, uint64_t slots) {
  const auto column = [](int64_t value, const char* name, uint64_t end) {
    require(value >= 0 && static_cast<uint64_t>(value) < end,
            std::string("segment ") + name + " in [0, " + std::to_string(end) + ")", std::to_string(value));
    return static_cast<uint64_t>(value);
  };
  const uint64_t slot = column(row[0], "slot", slots);
  const auto image = static_cast<uint32_t>(column(row[1], "image", kWordRange));
  const auto phase = static_cast<uint32_t>(column(row[2], "phase", 2));
  const uint64_t first = column(row[3], "first_draw", kWordRange + 1);
  const uint64_t count = column(row[4], "count", kWordRange + 1);
  require(first + count <= kWordRange, "first_draw + count <= 2**32", std::to_string(first + count));
  return Segment{slot, image, phase, first, count};
}

// Return a copy, so that no other thread can change the segments while the GIL is free.
std::vector<Segment> segments_of(const Input& array, uint64_t slots, uint64_t rows) {
  require(array.ndim() == 2 && array.shape(1) == kSegmentColumns, "segments [m, 5]", describe(array));
  require_array<int64_t>(array, "segments", "int64 [m, 5]", 2);
  const auto* const data = static_cast<const int64_t*>(array.data());
  std::vector<Segment> segments;
  uint64_t total = 0;
  for (size_t index = 0; index < array.shape(0); ++index) {
    segments.push_back(segment_of(data + index * kSegmentColumns, slots));
    total += segments.back().count;
    require(total <= rows, "segment counts to sum to the " + std::to_string(rows) + " rows of out",
            "at least " + std::to_string(total));
  }
  require(total == rows, "segment counts to sum to the " + std::to_string(rows) + " rows of out",
          std::to_string(total));
  return segments;
}

void construct_table(ThresholdTable* self, const Input& thresholds) {
  require_array<uint64_t>(thresholds, "thresholds", "uint64 [2J]", 1);
  const size_t count = thresholds.shape(0);
  require(count % 2 == 0 && count <= kMaxThresholds,
          "an even number of thresholds, at most " + std::to_string(kMaxThresholds), std::to_string(count));
  const auto* const data = static_cast<const uint64_t*>(thresholds.data());
  std::vector<uint64_t> copy(data, data + count);
  for (size_t index = 1; index < count; ++index) {
    require(copy[index - 1] <= copy[index], "sorted thresholds", "a descent at index " + std::to_string(index));
  }
  new (self) ThresholdTable(std::move(copy));
}

std::vector<std::string> path_names() {
  std::vector<std::string> names;
  for (const purecert::RowFunctions* path : purecert::row_paths()) names.emplace_back(path->name);
  return names;
}

// Return the path of that name, the fastest for no name.
const purecert::RowFunctions& path_of(const std::optional<std::string>& name) {
  std::string known;
  for (const purecert::RowFunctions* path : purecert::row_paths()) {
    if (!name.has_value() || *name == path->name) return *path;
    known += (known.empty() ? "" : ", ") + std::string(path->name);
  }
  require(false, "path to be one that this processor runs (" + known + ")", *name);
  return purecert::kPortableRows;
}

void fill(const ThresholdTable& table, const Output& out, const Input& segments, const nb::int_& seed,
          const nb::int_& purpose, const std::optional<Input>& images, const nb::int_& threads,
          const std::optional<std::string>& path) {
  const purecert::RowFunctions& chosen = path_of(path);
  FillJob job{};
  job.element = element_of(out);
  require(out.ndim() == 2, "out [rows, elements]", describe(out));
  require_contiguous(out, "out");
  job.elements = out.shape(1);
  require(job.elements <= kMaxElements, "at most 2**34 elements", std::to_string(job.elements));
  uint64_t slots = kAnySlot;
  if (images.has_value()) {
    require_array<uint8_t>(*images, "images", "uint8 [slots, elements]", 2);
    require(images->shape(1) == job.elements, "images of out's " + std::to_string(job.elements) + " elements",
            describe(*images));
    job.images = static_cast<const uint8_t*>(images->data());
    slots = images->shape(0);
  }
  const std::vector<Segment> checked = segments_of(segments, slots, out.shape(0));
  job.segments = checked.data();
  job.segment_count = checked.size();
  job.seed = integer(seed, "seed", UINT64_MAX);
  job.purpose = static_cast<uint32_t>(integer(purpose, "purpose", kMaxPurpose));
  const uint64_t thread_count = integer(threads, "threads", kMaxThreads);
  require(thread_count >= 1, "threads >= 1", "0");
  job.out = out.data();
  const nb::gil_scoped_release release;
  purecert::fill_rows(chosen, table, job, thread_count);
}

void draw(const ThresholdTable& table, const Output& out, const nb::int_& seed, const nb::int_& image,
          const nb::int_& phase, const nb::int_& draw_index, const nb::int_& purpose,
          const std::optional<std::string>& path) {
  const purecert::RowFunctions& chosen = path_of(path);
  require_array<int16_t>(out, "out", "int16 [count]", 1);
  require(out.shape(0) <= kMaxElements, "at most 2**34 elements", std::to_string(out.shape(0)));
  const purecert::RowAddress row =
      purecert::row_address(integer(seed, "seed", UINT64_MAX),
                            static_cast<uint32_t>(integer(image, "image", kWordRange - 1)),
                            static_cast<uint32_t>(integer(draw_index, "draw", kWordRange - 1)),
                            static_cast<uint32_t>(integer(purpose, "purpose", kMaxPurpose)),
                            static_cast<uint32_t>(integer(phase, "phase", 1)));
  auto* const data = static_cast<int16_t*>(out.data());
  const nb::gil_scoped_release release;
  chosen.draw(table.host_view(), row, data, out.shape(0));
}

template <class Type>
nb::object copied(const Type* values, size_t count) {
  return nb::cast(nb::ndarray<nb::numpy, const Type, nb::ndim<1>>(values, {count}), nb::rv_policy::copy);
}

nb::tuple parts(const ThresholdTable& table) {
  const purecert::ThresholdView view = table.view();
  return nb::make_tuple(copied(view.full, view.count), copied(view.top, view.count + 1),
                        copied(view.guide, purecert::kGuideSize));
}

nb::object philox(const Input& counter, const Input& key) {
  require(counter.ndim() == 1 && counter.shape(0) == 4, "counter to be uint32 [4]", describe(counter));
  require_array<uint32_t>(counter, "counter", "uint32 [4]", 1);
  require(key.ndim() == 1 && key.shape(0) == 2, "key to be uint32 [2]", describe(key));
  require_array<uint32_t>(key, "key", "uint32 [2]", 1);
  const auto* const c = static_cast<const uint32_t*>(counter.data());
  const auto* const k = static_cast<const uint32_t*>(key.data());
  purecert::Words4 words = purecert::philox4x32(purecert::Words4{{c[0], c[1], c[2], c[3]}}, k[0], k[1]);
  return nb::cast(nb::ndarray<nb::numpy, uint32_t, nb::shape<4>>(words.word), nb::rv_policy::copy);
}

}  // namespace

// nb::sig: the arrays are checked by hand, so that a wrong one is a ValueError that says what was expected;
// the stub has to be told their types.
#define PURECERT_ARRAY(type) "numpy.typing.NDArray[numpy." type "]"

NB_MODULE(_kernels, module) {
  nb::set_leak_warnings(false);  // a table that some cache still holds at exit is no fault of the user's
  module.doc() = "Native kernels of purecert: the addressed integer noise (kernels/README.md).";
  module.attr("NOISE_CONTRACT") = purecert::kNoiseContract;
  module.def("paths", &path_names, "Return the noise paths that this processor runs, the fastest first.");
  module.def("philox4x32", &philox, "counter"_a, "key"_a,
             nb::sig("def philox4x32(counter: " PURECERT_ARRAY("uint32") ", key: " PURECERT_ARRAY("uint32")
                     ") -> " PURECERT_ARRAY("uint32")),
             "Return the four words of one Philox4x32-10 block.");
  nb::class_<ThresholdTable>(module, "ThresholdTable", "The thresholds of one noise scale, ready to be searched.")
      .def("__init__", &construct_table, "thresholds"_a,
           nb::sig("def __init__(self, thresholds: " PURECERT_ARRAY("uint64") ") -> None"))
      .def("fill", &fill, "out"_a, "segments"_a, nb::kw_only(), "seed"_a, "purpose"_a, "images"_a.none(),
           "threads"_a, "path"_a.none() = nb::none(),
           nb::sig("def fill(self, out: " PURECERT_ARRAY("generic") ", segments: " PURECERT_ARRAY("int64")
                   ", *, seed: int, purpose: int, images: " PURECERT_ARRAY("uint8")
                   " | None, threads: int, path: str | None = None) -> None"),
           "Write clip(image + q), or clip(q) without images, into the rows of `out`.")
      .def("draw", &draw, "out"_a, nb::kw_only(), "seed"_a, "image"_a, "phase"_a, "draw"_a, "purpose"_a,
           "path"_a.none() = nb::none(),
           nb::sig("def draw(self, out: " PURECERT_ARRAY("int16")
                   ", *, seed: int, image: int, phase: int, draw: int, purpose: int, path: str | None = None) -> None"),
           "Write q of one row into `out`, before image and clip.")
      .def("parts", &parts,
           nb::sig("def parts(self) -> tuple[" PURECERT_ARRAY("uint64") ", " PURECERT_ARRAY("uint32") ", "
                   PURECERT_ARRAY("uint16") "]"),
           "Return copies of the thresholds, of their high words with a sentinel, and of the guide, as batches read them.");
  purecert::bind_batch(module);
}
