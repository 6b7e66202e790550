# trace_mm on a CPU. From the root of the repository:
#   docker build -f docker/cpu.Dockerfile -t trace_mm .
#   docker run --rm -v "$PWD/photos:/data:ro" -v "$PWD/masks:/out" trace_mm segment /data --out /out/found
FROM python:3.11-slim-bookworm

# TORCH may be the address of a wheel of torch without CUDA, which is ten times smaller.
ARG TORCH="torch==2.13.0"
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1

WORKDIR /opt/trace_mm
COPY pyproject.toml hatch_build.py README.md LICENSE constraints.txt ./
COPY trace_mm ./trace_mm
COPY configs ./configs
RUN pip install "$TORCH" && pip install -c constraints.txt ".[train,heif,s3]"

# Models and prompts that are fetched or computed stay in a volume.
ENV HF_HOME=/cache/huggingface TRACE_MM_CACHE=/cache/trace_mm
RUN useradd --create-home user && mkdir -p /cache /out && chown user /cache /out
USER user
WORKDIR /home/user
VOLUME ["/cache"]
ENTRYPOINT ["trace-mm"]
CMD ["--help"]
