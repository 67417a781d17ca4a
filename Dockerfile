# RurNet on a CPU: docker build --tag rurnet .
FROM python:3.12-slim-bookworm AS build

WORKDIR /build
RUN python -m venv /opt/rurnet
COPY pyproject.toml README.md LICENSE ./
COPY rurnet rurnet
COPY tiling tiling
COPY pipelines pipelines
COPY flows flows
# The index has builds of torch without CUDA, which are a tenth of the size.
RUN /opt/rurnet/bin/pip install --no-cache-dir \
    --extra-index-url https://download.pytorch.org/whl/cpu ".[openvino,cluster,docker,kubernetes,s3,stac,geoparquet,dicom,mlflow]"

FROM python:3.12-slim-bookworm

COPY --from=build /opt/rurnet /opt/rurnet
ENV PATH=/opt/rurnet/bin:$PATH \
    PREFECT_HOME=/home/rurnet/.prefect \
    PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 1000 rurnet
USER 1000
# Inbox and outbox: mount them here.
WORKDIR /data
CMD ["rurnet", "--help"]
