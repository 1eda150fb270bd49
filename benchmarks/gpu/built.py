"""Whether Python finds the purecert that was just built, and no other."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import purecert
import purecert._kernels


def main() -> None:
    """Print where it lies and which modules it has; exit 1 where another purecert comes first."""
    expected, found = Path(os.environ["WORK"]) / "lib" / "purecert", Path(purecert.__file__).parent
    if found != expected:
        sys.exit(f"expected purecert at {expected}, Python finds that at {found}; uninstall it or set PYTHON")
    if find_spec("purecert._cuda") is None:
        print(f"{found}: the host's kernels, none for CUDA")
        return
    architectures = import_module("purecert._cuda").architectures()  # imports without a driver
    print(f"{found}: the host's kernels, and CUDA's for {architectures}")


if __name__ == "__main__":
    main()
