// The Python face of the batch kernels, the same for the host's build and the GPU's.
#pragma once

#include <nanobind/nanobind.h>

namespace purecert {

void bind_batch(nanobind::module_& module);

}  // namespace purecert
