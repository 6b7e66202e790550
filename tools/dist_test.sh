#!/usr/bin/env bash
# Score a model on several GPUs of one or more machines, or in several processes on the CPU:
#   tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [flags of tools/test.py]
# CHECKPOINT is none for models that have none.
# NNODES, NODE_RANK, MASTER_ADDR and PORT describe a run on several machines.
set -euo pipefail
(($# >= 3)) || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
config=$1
checkpoint=()
[[ $2 == none ]] || checkpoint=("$2")
processes=$3
root=$(dirname "${BASH_SOURCE[0]}")/..
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    --nproc-per-node="$processes" \
    "$root/tools/test.py" "$config" "${checkpoint[@]}" --launcher pytorch "${@:4}"
