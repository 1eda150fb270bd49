#!/usr/bin/env bash
# Install pycuda where there is no GPU: built with CUDA's headers, linked to the fake driver of this folder.
#   tests/support/fake_cuda/install_pycuda.sh [ENVIRONMENT]   (default .venv)
# It needs nvcc, on the path or below CUDA_HOME. On a machine with a driver, `pip install pycuda` is what you want.
set -euo pipefail
environment=$(cd "${1:-.venv}" && pwd)
cd "$(dirname "$0")/../../.."

nvcc=$(command -v nvcc || echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc")
test -x "$nvcc" || { echo "expected nvcc on the path or in CUDA_HOME, found none; install a CUDA toolkit" >&2; exit 2; }
# A dry run prints where the toolkit lies; the compiler itself may be a link or a script.
toolkit=$("$nvcc" -dryrun -c any.cu 2>&1 | sed -n 's/.* TOP=//p')

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
PYTHONPATH=tests "$environment/bin/python" -c \
  "from pathlib import Path; from support.fake_cuda import build_driver; build_driver(Path('$build'))"

# pycuda reads this file from the home folder. Unoptimised, to build sooner: it only forwards calls here.
cat > "$build/.aksetup-defaults.py" <<CONFIGURATION
CUDA_INC_DIR = ["$toolkit/include"]
CUDA_ENABLE_CURAND = False
CUDADRV_LIB_DIR = ["$build"]
CXXFLAGS = ["-O0", "-g0"]
CONFIGURATION
# No cache: this build must not be what a later `pip install pycuda` finds there.
HOME=$build XDG_CONFIG_HOME=${XDG_CONFIG_HOME:-$HOME/.config} "$environment/bin/python" -m pip install --quiet \
  --no-cache-dir --no-binary pycuda -c constraints.txt pycuda
