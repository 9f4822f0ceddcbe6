# The operator's image. Both stages use one base, so that the virtual environment's interpreter is the same in both;
# any base with Python >= 3.11 and its venv module will do.
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/perfslo

# Dependencies first: they change seldom, and every file is checked against its hash.
COPY requirements-build.lock requirements.lock ./
RUN /build/bin/pip install --require-hashes --requirement requirements-build.lock \
 && /build/bin/pip --python /opt/perfslo/bin/python install --no-compile --require-hashes --requirement requirements.lock \
 && /opt/perfslo/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/perfslo/lib

COPY pyproject.toml README.md LICENSE ./
COPY operator ./operator
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /build/bin/pip --python /opt/perfslo/bin/python install --no-compile --no-deps /wheels/*.whl \
 && /opt/perfslo/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/perfslo/lib/*/site-packages/perfslo

FROM ${BASE}
LABEL org.opencontainers.image.title="perfslo" \
      org.opencontainers.image.description="A Kubernetes operator that keeps promises about latency" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/perfslo /opt/perfslo
# Safe path: nothing is ever imported from the working directory. No bytecode: the root file system is read-only.
ENV PATH=/opt/perfslo/bin:$PATH PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["perfslo"]
CMD ["run"]
