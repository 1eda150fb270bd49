// The module of the GPU's build. Its CUDA runtime is linked statically, so that it imports on a machine without a driver.
#include <nanobind/nanobind.h>

#include "batch_bindings.h"
#include "purecert/grid_noise.h"

namespace nb = nanobind;

NB_MODULE(_cuda, module) {
  module.doc() = "The batch kernels of purecert on a GPU (kernels/README.md).";
  module.attr("NOISE_CONTRACT") = purecert::kNoiseContract;
  module.def("architectures", [] { return PURECERT_CUDA_ARCHITECTURES; },
             "Return the architectures that machine code was made for, such as \"80 90\".");
  purecert::bind_batch(module);
}
