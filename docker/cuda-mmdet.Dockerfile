# trace_mm on NVIDIA GPUs, with MMDetection, to train Mask2Former and detectors. From the root of the repository:
#   docker build -f docker/cuda-mmdet.Dockerfile -t trace_mm:mmdet .
#   docker run --rm --gpus all -v "$PWD/data:/data" trace_mm:mmdet train mask2former_trace-tiny_1xb8-2k_scenes-panoptic --cfg-options data_root=/data
# torch 2.11 comes with CUDA 13.0, and what is compiled against it must be of the same.
FROM nvidia/cuda:13.0.1-devel-rockylinux9

# The architectures that mmcv's operations are compiled for; without a GPU at hand they cannot be asked for.
ARG TORCH_CUDA_ARCH_LIST="8.0;8.6;8.9;9.0;12.0"
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 FORCE_CUDA=1
RUN dnf install --assumeyes --setopt=install_weak_deps=False gcc-c++ git python3.11 python3.11-devel \
    && dnf clean all

WORKDIR /opt/trace_mm
RUN python3.11 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY constraints-mmdet.txt ./
# The steps of docs/install.md, which says why.
RUN pip install -c constraints-mmdet.txt torch torchvision setuptools wheel packaging ninja
RUN MMCV_WITH_OPS=1 pip wheel --no-build-isolation --no-deps -w wheels onedl-mmcv==2.3.6 \
    && pip install --no-deps wheels/onedl_mmcv-2.3.6-*.whl \
    && pip install --no-deps -c constraints-mmdet.txt onedl-mmdetection imaug
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY trace_mm ./trace_mm
COPY configs ./configs
RUN pip install -c constraints-mmdet.txt ".[mmdet,vision,train]"

ENV HF_HOME=/cache/huggingface TRACE_MM_CACHE=/cache/trace_mm
RUN useradd --create-home user && mkdir -p /cache && chown user /cache
USER user
WORKDIR /home/user
VOLUME ["/cache"]
ENTRYPOINT ["trace-mm"]
CMD ["--help"]
