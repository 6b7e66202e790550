#!/usr/bin/env bash
# Train on a SLURM cluster, one process a GPU:
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [flags of tools/train.py]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS change the defaults of 8, 8, 5 and nothing.
set -euo pipefail
(($# >= 4)) || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
partition=$1
job_name=$2
config=$3
work_dir=$4
gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-8}
((gpus_per_node <= gpus)) || gpus_per_node=$gpus
root=$(dirname "${BASH_SOURCE[0]}")/..
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
# shellcheck disable=SC2086 # SRUN_ARGS holds several words
exec srun -p "$partition" \
    --job-name="$job_name" \
    --gres="gpu:$gpus_per_node" \
    --ntasks="$gpus" \
    --ntasks-per-node="$gpus_per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$root/tools/train.py" "$config" --work-dir "$work_dir" \
    --launcher slurm "${@:5}"
