# One file, three images: sampler (vLLM), learner (DeepSpeed) and scorer (math-verify, no torch).
#
#     docker build --target scorer  -t openrs-scorer .
#     docker build --target sampler -t openrs-sampler .
#     docker build --target sampler -t openrs-sampler:cpu --build-arg FLAVOUR=cpu .
#
# BASE_IMAGE   Debian or Ubuntu; Python is added where it is missing, and must be 3.11.3 or newer
#              for the cpu flavour. The GPU wheels bring CUDA 13 along, so that a plain Python image
#              is enough and the host needs the driver only (R580 or newer).
# FLAVOUR      gpu or cpu. It changes nothing in the scorer.
# TORCH_INDEX  Where the cpu flavour finds a torch without CUDA. Empty: wherever pip looks anyway.
#
# Behind a proxy that signs for others: --secret id=ca,src=bundle.pem stands in for the system's
# certificates while the image is built, and leaves no trace in it.
#
# No `# syntax` line and no heredocs: BuildKit as old as Docker 20.10's builds this.

ARG BASE_IMAGE=python:3.11-slim-bookworm
ARG FLAVOUR=gpu

# --- what all three share: Python, a user, the places on disk ----------------------------------
FROM ${BASE_IMAGE} AS base
RUN if ! python3 -c 'import ensurepip' 2>/dev/null || ! [ -e /etc/ssl/certs/ca-certificates.crt ]; then \
        apt-get update \
        && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
        && rm -rf /var/lib/apt/lists/*; \
    fi
# The directories are made here because a new volume takes its owner from what it covers.
RUN python3 -m venv /opt/openrs \
    && useradd --create-home --uid 10001 openrs \
    && install -d -o openrs -g openrs /cache /runs
ENV PATH=/opt/openrs/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/cache/huggingface \
    VLLM_CACHE_ROOT=/cache/vllm \
    OPENRS_CACHE=/cache/openrs \
    OPENRS_RUNS=/runs \
    OPENRS_METRICS_PORT=9464

# --- openrs itself, built once for all three ---------------------------------------------------
FROM base AS wheel
ARG PIP_CERT=/etc/ssl/certs/ca-certificates.crt
WORKDIR /src
COPY pyproject.toml README.md LICENSE* ./
COPY openrs_core openrs_core
COPY services services
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/pip \
    pip wheel --no-deps --wheel-dir /wheel .

# --- the dependencies, in layers that stay while only our code changes ---------------------------
# pip installs no package's dependencies alone, so where the lock does not hold them all, these are
# the dependencies of an empty openrs.
FROM base AS empty
WORKDIR /src
COPY pyproject.toml ./
COPY locks locks
RUN mkdir openrs_core services && touch README.md openrs_core/__init__.py services/__init__.py

FROM empty AS light
ARG PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint locks/cpu.txt ".[scorer]"

FROM empty AS gpu
ARG PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/pip \
    pip install ".[gpu]"

FROM base AS cpu
WORKDIR /src
COPY locks locks
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} --requirement locks/cpu.txt

FROM ${FLAVOUR} AS heavy
# A compiler for the kernels that Triton and torch.compile make while they run, with the headers of
# the Python that calls them; libnuma for vLLM on CPUs.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ libnuma1 \
        $(if [ -x /usr/bin/python3 ]; then echo python3-dev; fi) \
    && rm -rf /var/lib/apt/lists/*
# vLLM reports its use to its makers unless told not to.
ENV DO_NOT_TRACK=1

# --- the images ----------------------------------------------------------------------------------
FROM light AS scorer
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip install --no-deps --force-reinstall /wheel/*.whl
WORKDIR /openrs
COPY recipes recipes
USER openrs
ENTRYPOINT ["openrs", "scorer"]

FROM heavy AS sampler
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip install --no-deps --force-reinstall /wheel/*.whl
WORKDIR /openrs
COPY recipes recipes
USER openrs
ENTRYPOINT ["openrs", "sampler"]

FROM heavy AS learner
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip install --no-deps --force-reinstall /wheel/*.whl
WORKDIR /openrs
COPY recipes recipes
USER openrs
ENTRYPOINT ["openrs", "learner"]
