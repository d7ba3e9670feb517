# The one image of both processes: `serve` and `companion`.
#
#   make image        with docker, podman or buildah; tags it as the chart asks for it
#
# `.ci/run bases` writes the digest that each base's tag has now behind it, and a release is
# built on nothing without one (`.ci/run bases-check`): docs/explanation/supply-chain.md. The
# two have Python at the same place.
ARG BUILD_BASE=docker.io/library/python:3.13-trixie
ARG BASE=docker.io/library/python:3.13-slim-trixie

FROM ${BASE} AS base

FROM ${BUILD_BASE} AS build
# Two builds of one commit give one image: times are the commit's or none, sets have one
# order, and what is compiled does not know in which folder.
ARG SOURCE_DATE_EPOCH=315532800
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    PYTHONHASHSEED=0 CFLAGS="-g0 -O2"
WORKDIR /src

# The tools that build, from their own lock.
COPY requirements/build.txt requirements/build.txt
RUN python3 -m venv /build \
    && /build/bin/pip install --require-hashes --no-deps -r requirements/build.txt

# What the product needs: hashes are checked on what is downloaded, and what has no wheel
# is compiled here, with tools from the lock.
COPY requirements/run.txt requirements/run.txt
RUN /build/bin/pip wheel --require-hashes --no-deps --no-build-isolation \
        --wheel-dir /wheels -r requirements/run.txt \
    && python3 -m venv --without-pip /app \
    && /build/bin/pip --python /app/bin/python install \
        --no-index --no-deps --no-compile /wheels/*.whl \
    && /app/bin/python -m compileall -q --invalidation-mode unchecked-hash /app/lib

# The project last and apart: a change of code changes one small layer of the image.
COPY pyproject.toml README.md LICENSE ./
COPY certs certs
COPY webhook webhook
RUN /build/bin/pip wheel --no-index --no-deps --no-build-isolation \
        --wheel-dir /project-wheel . \
    && /build/bin/pip --python /app/bin/python install \
        --no-index --no-deps --no-compile --prefix /project /project-wheel/*.whl \
    && /app/bin/python -m compileall -q --invalidation-mode unchecked-hash /project/lib

# Its bill of materials: the Python packages, and the Debian of the base beneath.
COPY .ci/sbom.py .ci/sbom.py
COPY --from=base /var/lib/dpkg/status /base/status
COPY --from=base /usr/lib/os-release /base/os-release
RUN mkdir -p /project/share \
    && /build/bin/cyclonedx-py environment --pyproject pyproject.toml \
        --output-format JSON --output-reproducible \
        --output-file /base/python.json /app/bin/python \
    && /build/bin/python .ci/sbom.py image --python /base/python.json \
        --debian /base/status --os-release /base/os-release >/project/share/sbom.cdx.json

FROM ${BASE}
ARG VERSION=unknown
ARG REVISION=unknown
ARG BASE
LABEL org.opencontainers.image.title="Michelangelo tracking injector" \
      org.opencontainers.image.description="Gives every Ray and Spark task pod its experiment tracking keys." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=build /app /app
# With its bill of materials, /app/share/sbom.cdx.json.
COPY --from=build /project /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# By number, so that a cluster can tell that it is not root. Nothing is written outside
# of /tmp, and nothing needs a shell.
USER 65532:65532
ENTRYPOINT ["/app/bin/tracking-injector"]
CMD ["--help"]
