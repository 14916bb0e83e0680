# netsounds-stream, and with it Dask's scheduler and worker; docs/deploy.md says how it is used.
#
# Size, by `make image`: 966 MB, compressed 300 MB. Of that the base, Debian 12 with its Python 3.11, is 199 MB and 66 MB;
# the default base was not measured. With CUDA 13.0: 5.04 GB, compressed 2.86 GB.

ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS dependencies
# Where torch and torchvision come from; for CUDA https://download.pytorch.org/whl/cu130.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=cluster
WORKDIR /source
COPY pyproject.toml constraints.txt ./
RUN python3 -m venv --without-pip /opt/netsounds-stream
# By themselves and from nowhere else: where the index lacks the version, the build ends rather than take gigabytes
# of CUDA libraries from the package index.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m pip --python /opt/netsounds-stream/bin/python install --no-cache-dir --only-binary :all: --no-deps \
    --constraint constraints.txt --index-url "${TORCH_INDEX}" torch torchvision
# What pyproject.toml asks for, read without the package: so these layers stay as they are when its code changes.
RUN python3 -c "import sys, tomllib; \
    project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
    extras = [project['optional-dependencies'][name] for name in sys.argv[1].split(',') if name]; \
    print(*project['dependencies'], *sum(extras, []), sep='\n')" "${EXTRAS}" > requirements.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m pip --python /opt/netsounds-stream/bin/python install --no-cache-dir --only-binary :all: \
    --no-binary pyvips --constraint constraints.txt --requirement requirements.txt
# What nothing here runs: headers, compilers of messages, tests and the libraries for them, symbols for debuggers.
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends binutils && \
    cd /opt/netsounds-stream/lib/python3*/site-packages && \
    find torch/bin -type f ! -name torch_shm_manager -delete && \
    rm -rf torch/include torch/share torch/test torch/lib/*_test.so torch/lib/libbackend_with_compiler.so && \
    find . -type d \( -name tests -o -path ./tornado/test \) -prune -exec rm -rf {} + && \
    find . -name '*.a' -delete && \
    strip --strip-unneeded torch/lib/libtorch_cpu.so torch/lib/libtorch_python.so

FROM dependencies AS package
COPY README.md LICENSE ./
COPY netsounds_stream netsounds_stream
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m pip --python /opt/netsounds-stream/bin/python install --no-cache-dir --no-deps --prefix /package .

FROM ${BASE}
ARG BASE
LABEL org.opencontainers.image.title="netsounds-stream" \
      org.opencontainers.image.description="Turns pictures of any size into sound, in bounded memory" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="${BASE}"
RUN useradd --uid 1000 --create-home netsounds && install -d -o netsounds -g netsounds /pictures
COPY --from=dependencies /opt/netsounds-stream /opt/netsounds-stream
COPY --from=package /package /opt/netsounds-stream
# MALLOC_ARENA_MAX: a worker's threads share one heap, as the plan of its memory has it (docs/cluster.md).
ENV PATH=/opt/netsounds-stream/bin:$PATH MALLOC_ARENA_MAX=1
USER netsounds
WORKDIR /pictures
ENTRYPOINT ["netsounds-stream"]
