"""Where programs of the CUDA toolkit lie. Uses nothing but the standard library."""

import os
import shutil


def find_tool(name: str) -> str | None:
    """Return the program ``name`` in the order in which CMake looks for nvcc (kernels/cuda_module.cmake), or None."""
    homes = [os.environ[variable] for variable in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(variable)]
    hinted = os.pathsep.join(os.path.join(home, "bin") for home in homes)
    return shutil.which(name, path=hinted) or shutil.which(name) or shutil.which(name, path="/usr/local/cuda/bin")
