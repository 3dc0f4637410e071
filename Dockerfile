# imbalance-bench in a container, with PyTorch from pip's own index, or from the index of the build that is wanted (CPU
# alone, or a version of CUDA), whose address PyTorch's installation page gives:
#   docker build -t imbalance-bench .
#   docker build -t imbalance-bench:cuda --build-arg TORCH_INDEX=ADDRESS .
# Images, results and the cache stay in the working directory:
#   docker run --rm -v "$PWD:/work" imbalance-bench quickstart
#   docker run --rm --gpus all -v "$PWD:/work" imbalance-bench:cuda run study.yaml
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY imbalance_bench imbalance_bench
COPY methods methods
COPY analysis analysis
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /dist

FROM python:${PYTHON}-slim
ARG TORCH_INDEX=""
COPY --from=wheel /src/constraints.txt /dist/*.whl /tmp/
# PyTorch first, of the build that was asked for; everything else as it was tested
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch torchvision \
      --constraint /tmp/constraints.txt \
    && pip install --no-cache-dir /tmp/*.whl --constraint /tmp/constraints.txt \
    && rm -rf /tmp/*.whl /tmp/constraints.txt \
    && useradd --create-home user && mkdir /work && chown user /work
USER user
WORKDIR /work
ENTRYPOINT ["imbalance-bench"]
CMD ["--help"]
