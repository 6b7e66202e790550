#!/usr/bin/env bash
# Train on several GPUs of one or more machines, or in several processes on the CPU:
#   tools/dist_train.sh CONFIG PROCESSES [flags of tools/train.py]
# NNODES, NODE_RANK, MASTER_ADDR and PORT describe a run on several machines.
set -euo pipefail
(($# >= 2)) || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
config=$1
processes=$2
root=$(dirname "${BASH_SOURCE[0]}")/..
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    --nproc-per-node="$processes" \
    "$root/tools/train.py" "$config" --launcher pytorch "${@:3}"
