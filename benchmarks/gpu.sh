#!/usr/bin/env bash
# Everything about purecert on a GPU, in steps that are stopped at eight minutes each at the latest: check the machine,
# build, check, measure, and say which targets are met. Needs bash, Python with PyTorch, nvcc, cmake with make or ninja, and no network.
#
#     benchmarks/gpu.sh              all steps
#     benchmarks/gpu.sh STEP...      these steps; what they need must have run before
#     benchmarks/gpu.sh --list       the steps
#
# Variables: PYTHON (python3), RESULTS (benchmarks/results/gpu), WORK (build/gpu: build, plans, caches), WHEELS
# (build/gpu/wheels: packages that the image lacks, see below), BATCHES (512; each of several takes minutes to compile),
# BATCH (512), BACKENDS (others that bench-* measure beside torch-cuda; the step backend-* of one of them takes its rows
# from there), LIMIT (470 seconds of a step), COMMIT (where git is missing), and PURECERT_DRY_RUN=1: the same programs with
# tiny sizes on a CPU, the host's kernels in the place of the GPU's.
#
# A step of a backend whose library is absent is skipped, with the reason. Its wheels may lie in WHEELS: they are found before
# what the image has, and nothing is fetched that they need. For CUDA 13 these are
#     all four              pycuda*, pytools, platformdirs, siphash24
#     tensorrt              tensorrt_cu13*, tensorrt_cu13_bindings, tensorrt_cu13_libs
#     tensorrt-rtx          tensorrt_rtx_cu13_bindings, tensorrt_rtx_cu13_libs
#     onnxruntime-cuda      onnxruntime_gpu; what `pip download 'onnxruntime-gpu[cuda,cudnn]'` gets of nvidia_*, unless the
#                           system's loader finds CUDA and cuDNN: those that came with PyTorch are not looked for, unless
#                           LD_LIBRARY_PATH names their folders (site-packages/nvidia/*/lib)
#     onnxruntime-tensorrt  the same; it links to one major version of TensorRT
# Those marked * are published as sources: run `pip wheel --no-deps pycuda tensorrt_cu13` on a machine with the same Python
# and a CUDA toolkit. The others: pip download --no-deps --only-binary=:all:
set -uo pipefail
cd "$(dirname "$0")/.." || exit

# Step | what must have run before | the step that stands for it in a dry run, where it runs the same program | what it does
steps='
check-image|||whether packages, tools and the GPU are there; installs what lies in WHEELS
build|||the native modules, from this checkout into WORK
doctor|build||which backends can be used here, and what the others lack
noise-check|build||published vectors, rows, votes and 10^9 draws of the device kernels against the CPU
pycuda-check|build||noise and votes, captured and launched through pycuda, against the CPU
sanitize|build||compute-sanitizer: memcheck, racecheck, initcheck, synccheck
noise-speed|build||the noise kernel beside torch.randn, its expression and a copy
matrix-rate|build||large matrix products in bf16, fp16, fp32 and tf32
plan-demo|build||export the demo model to FP16
plan-vit|build||export consistency model + ViT-B/16, random weights
plan-wrn|build|plan-vit|export consistency model + WRN-28-10, random weights
compile-vit|plan-vit||compile plan vit at every batch
compile-wrn|plan-wrn|compile-vit|compile plan wrn at every batch
bench-demo|plan-demo|bench-vit|engine-bench of plan demo
bench-vit|plan-vit||engine-bench of plan vit
bench-wrn|plan-wrn|bench-vit|engine-bench of plan wrn
backend-onnxruntime-cuda|plan-vit|bench-vit|engine-bench of plan vit: ONNX Runtime on CUDA beside torch-cuda
backend-tensorrt|plan-vit||engine-bench of plan vit: TensorRT beside torch-cuda
backend-tensorrt-rtx|plan-vit|backend-tensorrt|engine-bench of plan vit: TensorRT-RTX beside torch-cuda
backend-onnxruntime-tensorrt|plan-vit|backend-tensorrt|engine-bench of plan vit: ONNX Runtime on TensorRT beside torch-cuda
certify-vit|plan-vit||seconds per certificate of plan vit
certify-wrn|plan-wrn|certify-vit|seconds per certificate of plan wrn
outside-vit|plan-vit||share of the time outside the network, plan vit
outside-wrn|plan-wrn|outside-vit|share of the time outside the network, plan wrn
agreement|plan-demo||labels on the GPU and on the CPU that differ; the noise must not
profile-vit|plan-vit||kernels by time, plan vit
profile-wrn|plan-wrn|profile-vit|kernels by time, plan wrn
summary|build||the targets beside what RESULTS holds: met, not met or not measured
'
limit=${LIMIT:-470} kill_after=10 # seconds of a step, and to end in when they are up
skipped=77 # exit code of a step whose record says why it measured nothing

dry_run=${PURECERT_DRY_RUN:-0}
if [[ $dry_run == 1 ]]; then
  export WORK=${WORK:-build/gpu/dry-run} BATCHES=${BATCHES:-32} BATCH=${BATCH:-32} PURECERT_CUDA=${PURECERT_CUDA:-auto}
  export RESULTS=${RESULTS:-$WORK/results}
  # Inductor for a CPU: no trials of what the processor offers, each of which compiles a file.
  export TORCHINDUCTOR_VEC_ISA_OK=0
else
  export WORK=${WORK:-build/gpu} BATCHES=${BATCHES:-512} BATCH=${BATCH:-512} PURECERT_CUDA=${PURECERT_CUDA:-on}
  export RESULTS=${RESULTS:-benchmarks/results/gpu}
fi
export PURECERT_DRY_RUN=$dry_run COMMIT=${COMMIT:-unknown} PYTHONUNBUFFERED=1
wheels=${WHEELS:-build/gpu/wheels}

fail() { # one line, exit code 2
  echo "gpu.sh: $1" >&2
  exit 2
}

names=()
declare -A need twin description
while IFS='|' read -r name first second third; do
  [[ -n $name ]] || continue
  names+=("$name") need[$name]=$first twin[$name]=$second description[$name]=$third
done <<<"$steps"

# PyTorch's compiler looks for CUDA's headers in CUDA_HOME, and links against the driver's stub.
find_toolkit() {
  local nvcc top stubs
  if [[ -z ${CUDA_HOME:-} ]]; then
    # In the order of kernels/cuda_module.cmake; no nvcc at all is for check-image to say.
    nvcc=$(PATH=${CUDA_PATH:+$CUDA_PATH/bin:}$PATH:/usr/local/cuda/bin command -v nvcc) || return 0
    # The compiler may be a link or a script: a dry run prints where the toolkit lies.
    top=$("$nvcc" -dryrun -c any.cu 2>&1 | sed -n 's/^#\$ TOP=//p' | head -n 1)
    if [[ ! -d $top ]]; then
      echo "gpu.sh: expected 'TOP=' and a folder from '$nvcc -dryrun', got '$top'; set CUDA_HOME to the toolkit" >&2
      return 0
    fi
    CUDA_HOME=$(realpath "$top")
  fi
  export CUDA_HOME
  for stubs in "$CUDA_HOME/lib64/stubs" "$CUDA_HOME/lib/stubs"; do
    if [[ -d $stubs ]]; then
      export LIBRARY_PATH=$stubs${LIBRARY_PATH:+:$LIBRARY_PATH}
      return
    fi
  done
}

# Run a command in what is left of the step's time; 124, or 137 where it had to be killed, says that this was too little.
in_time() {
  ((SECONDS < limit)) || return 124
  timeout --kill-after="$kill_after" $((limit - SECONDS)) "$@"
}

# Python with packages from WHEELS, the steps, and purecert as it was built here; nothing of the working directory.
run_python() {
  PYTHONSAFEPATH=1 PYTHONPATH="$WORK/lib:$WORK/site:benchmarks" XDG_CONFIG_HOME="$WORK/config" in_time "$python" "$@"
}

# Say in one line which packages of these parts are missing.
has_packages() { run_python -m gpu.check_image "$@"; }

check_image() {
  if compgen -G "$wheels/*.whl" >/dev/null; then
    in_time "$python" -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target "$WORK/site" \
      "$wheels"/*.whl || return
    echo "installed from $wheels: $(cd "$wheels" && echo *.whl)"
  fi
  run_python -m gpu.check_image
}

build() {
  has_packages build run || return
  # Of the modules too, or another Python's would be taken along, or the GPU's where this build leaves it out.
  rm -rf "$WORK/lib" "$WORK"/cmake/*.so
  local log=$WORK/build.log generator=() code
  command -v ninja >/dev/null && generator=(-G Ninja)
  {
    in_time cmake -S . -B "$WORK/cmake" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DPURECERT_CUDA="$PURECERT_CUDA" \
      -DPython_EXECUTABLE="$("$python" -c 'import sys; print(sys.executable)')" \
      -Dnanobind_DIR="$(run_python -m nanobind --cmake_dir)" &&
      in_time cmake --build "$WORK/cmake" --parallel
  } >"$log" 2>&1 || {
    code=$?
    tail -n 20 "$log" >&2
    return "$code"
  }
  grep -E 'purecert: ' "$log"
  link_package
}

# The package is links into this checkout and the modules that were built.
link_package() {
  local package=$WORK/lib/purecert part
  mkdir -p "$package"
  for part in engine export train; do ln -s "$PWD/$part" "$package/$part"; done
  ln -s "$PWD/src/purecert/__init__.py" "$package/__init__.py"
  ln -s "$(realpath "$WORK/cmake")"/*.so "$package/"
  # An editable install of purecert would find its own files before these.
  cat >"$WORK/lib/sitecustomize.py" <<'PYTHON'
import sys

sys.meta_path[:] = [finder for finder in sys.meta_path if "editable_skbc_purecert" not in type(finder).__module__]
PYTHON
  run_python -m gpu.built || return
  # Plans hold the version of the package that wrote them, which is read where packages are installed.
  local version
  version=$(run_python -c 'import purecert; print(purecert.__version__)') || return
  local installed=$WORK/lib/purecert-$version.dist-info
  mkdir "$installed" && printf 'Metadata-Version: 2.1\nName: purecert\nVersion: %s\n' "$version" >"$installed/METADATA"
}

# Run one step's work; what it prints is the step's output.
work() {
  case $1 in
    check-image) check_image ;;
    build) build ;;
    plan-*) has_packages run export && run_python -m gpu.plan "${1#plan-}" ;;
    backend-*) has_packages run export bench && run_python -m gpu.backend "${1#backend-}" ;;
    bench-*) has_packages run export bench && run_python -m gpu.bench "${1#bench-}" ;;
    *-vit | *-wrn) has_packages run && run_python -m "gpu.${1%-*}" "${1##*-}" ;;
    *) has_packages run && run_python -m "gpu.${1//-/_}" ;;
  esac
}

# Whether what a step makes for others is there.
is_made() {
  case $1 in
    build) compgen -G "$WORK/lib/purecert-*.dist-info/METADATA" >/dev/null ;;
    plan-*) [[ -e $WORK/plans/${1#plan-}/plan/plan.json ]] ;;
  esac
}

# What an exit code means where the clock knows: 137 also ends what the system kills, for its memory as a rule.
cause() {
  if (($1 == 124 || ($1 == 137 && SECONDS >= limit))); then
    echo ', its time was up'
  elif (($1 == 137)); then
    echo ', it was killed; perhaps memory ran out'
  fi
}

# Print why a step was skipped, as its record says it.
skip_reason() { "$python" -Ic 'import json, sys; print(json.load(open(sys.argv[1]))["skipped"])' "$RESULTS/$1.json"; }

# Run a step and say how it ended: done, left out, skipped, or failed with a reason in one line. A step that fails leaves no
# record of an earlier run, which would pass for its own.
run_step() {
  local code reason
  echo "== $1: ${description[$1]}"
  SECONDS=0
  if [[ -n $all && $dry_run == 1 && -n ${twin[$1]} ]]; then
    ends+=("$1: left out of a dry run, where ${twin[$1]} runs the same program")
  elif [[ -n ${need[$1]} ]] && ! is_made "${need[$1]}"; then
    failed=1 ends+=("$1: FAILED, it needs the step ${need[$1]}, which has not been done")
  elif rm -f "$RESULTS/$1.json" && work "$1"; then
    ends+=("$1: done in $SECONDS s")
  else
    code=$?
    if ((code == skipped)) && reason=$(skip_reason "$1"); then
      ends+=("$1: skipped, $reason")
    else
      failed=1 ends+=("$1: FAILED with exit code $code after $SECONDS s$(cause "$code")")
    fi
  fi
  echo "${ends[-1]}"
}

case $dry_run in 0 | 1) ;; *) fail "expected PURECERT_DRY_RUN to be 0 or 1, got $dry_run" ;; esac
if [[ ${1:-} == --list ]]; then
  for name in "${names[@]}"; do printf '%-28s %s\n' "$name" "${description[$name]}"; done
  exit
fi
for name in "$@"; do
  [[ -n ${name} && -n ${description[$name]:-} ]] || fail "expected steps out of: ${names[*]}; got '$name'"
done
case $dry_run/$(realpath --canonicalize-missing "$RESULTS")/ in
  1/"$PWD"/benchmarks/results/*) fail "expected RESULTS outside benchmarks/results in a dry run, got $RESULTS" ;;
esac
python=$(command -v "${PYTHON:-python3}") || fail "expected Python at PYTHON=${PYTHON:-python3}, found none"
PATH=$PATH:$(dirname "$python") # cmake and ninja may be packages of that Python
mkdir -p "$WORK" "$RESULTS" || exit
WORK=$(realpath "$WORK") RESULTS=$(realpath "$RESULTS")
if [[ $dry_run == 0 ]]; then find_toolkit; fi

failed=0 ends=()
all=
(($#)) || { all=1 && set -- "${names[@]}"; }
for name in "$@"; do run_step "$name"; done
echo "== how the steps ended"
printf '%s\n' "${ends[@]}"
exit "$failed"
