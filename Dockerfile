# Certificates on a CPU.
#
# LINTED with hadolint 2.15.1 (`make lint`). NOT RUN: no container could be started where this was written.
#
#   docker build -t purecert .
#   docker run --rm -it -v "$PWD:/data" purecert                       # a shell
#   docker run --rm -v "$PWD:/data" purecert engine-certify --plan plan --data digits:test --sigma 0.5 --n 10000 --out run
#
# Plans are exported with PyTorch, which is not in the image unless it is asked for:
#   docker build -t purecert-export --build-arg EXTRAS=cpu,images,report,export,import --build-arg TORCH=2.13.0 \
#     --build-arg TORCH_INDEX=<index of PyTorch's CPU builds, as pytorch.org names it> .
#
# Where your user id is not 1000, add to `docker run`: --user "$(id -u):$(id -g)" --env HOME=/tmp

# The Python that the tests are run with.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
# No pinned versions: Debian's mirrors drop one when the next comes, and the build would fail.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends cmake g++ ninja-build \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
ENV PURECERT_CUDA=off
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

ARG EXTRAS=cpu,images,report
ARG TORCH=
ARG TORCH_INDEX=
RUN python -m venv /opt/purecert \
 && if [ -n "$TORCH" ]; then \
      /opt/purecert/bin/pip install --no-cache-dir "torch==$TORCH" ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}; \
    fi \
 && /opt/purecert/bin/pip install --no-cache-dir --constraint constraints.txt "$(echo /wheels/purecert-*.whl)[$EXTRAS]"

# No compiler from here on, so the backend torch-compiled cannot be used here; onnxruntime, the default, needs none.
FROM python:${PYTHON}-slim
RUN useradd --create-home --uid 1000 purecert && install --directory --owner=purecert /data
COPY --from=build /opt/purecert /opt/purecert
ENV PATH=/opt/purecert/bin:$PATH
USER 1000
WORKDIR /data
# A shell, or whatever command follows the image's name.
CMD ["bash"]
