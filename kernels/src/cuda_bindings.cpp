// The module of the GPU's build. Its CUDA runtime is linked statically, so that it imports on a machine without a driver.
#include <nanobind/nanobind.h>

#include <cstdint>

#include "batch_bindings.h"
#include "binding_checks.h"
#include "purecert/capture.h"
#include "purecert/grid_noise.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace purecert {
namespace {

void* handle(const nb::int_& value, const char* name) {
  return reinterpret_cast<void*>(integer(value, name, UINT64_MAX));
}

void bind_capture(nb::module_& module) {
  module.def("begin_capture",
             [](const nb::int_& stream) {
               void* const queue = handle(stream, "stream");
               const nb::gil_scoped_release release;
               begin_capture(queue);
             },
             "stream"_a,
             nb::sig("def begin_capture(stream: int) -> None"),
             "Record what this thread enqueues on the stream from here on, instead of doing it.");
  module.def("end_capture",
             [](const nb::int_& stream) {
               void* const queue = handle(stream, "stream");
               const nb::gil_scoped_release release;
               return reinterpret_cast<uintptr_t>(end_capture(queue));
             },
             "stream"_a, nb::sig("def end_capture(stream: int) -> int"),
             "End the recording; return the handle of the CUDA graph made of it. RuntimeError where it cannot be one.");
  module.def("launch_captured",
             [](const nb::int_& graph, const nb::int_& stream) {
               void* const captured = handle(graph, "graph");
               void* const queue = handle(stream, "stream");
               const nb::gil_scoped_release release;
               launch_captured(captured, queue);
             },
             "graph"_a, "stream"_a, nb::sig("def launch_captured(graph: int, stream: int) -> None"),
             "Enqueue the whole of a captured graph on the stream.");
  module.def("free_captured",
             [](const nb::int_& graph) {
               void* const captured = handle(graph, "graph");
               const nb::gil_scoped_release release;
               free_captured(captured);
             },
             "graph"_a,
             nb::sig("def free_captured(graph: int) -> None"), "Free a captured graph, which must have ended its work.");
}

}  // namespace
}  // namespace purecert

NB_MODULE(_cuda, module) {
  module.doc() = "The batch kernels of purecert on a GPU (kernels/README.md).";
  module.attr("NOISE_CONTRACT") = purecert::kNoiseContract;
  module.def("architectures", [] { return PURECERT_CUDA_ARCHITECTURES; },
             "Return the architectures that machine code was made for, such as \"80 90\".");
  purecert::bind_batch(module);
  purecert::bind_capture(module);
}
