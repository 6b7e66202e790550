"""One of the two ranks of the benchmark on a GPU: sums a tensor and the gradients of a layer.

Run by gpu_parts/ranks.py; prints one JSON object.
"""

import argparse
import datetime
import json
import sys
import time
import traceback

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from trace_mm.runs.group import leave_group

LIMIT = datetime.timedelta(seconds=60)
ROUNDS = 5


def work(rank: int, world: int, device: torch.device, count: int) -> dict[str, float]:
    """What the rank finds."""
    tensor = torch.full((count,), float(rank + 1), device=device)
    distributed.all_reduce(tensor)
    wanted = world * (world + 1) / 2
    error = float((tensor - wanted).abs().max())

    torch.manual_seed(0)
    layer = nn.Linear(16, 4).to(device)
    inputs = torch.randn(world, 8, 16).to(device)
    ids = [device.index] if device.type == "cuda" else None
    parallel = DistributedDataParallel(layer, device_ids=ids)
    parallel(inputs[rank]).square().mean().backward()
    found = layer.weight.grad.clone()
    layer.zero_grad()
    layer(inputs).square().mean().backward()  # of all ranks' inputs, alone
    difference = float((found - layer.weight.grad).abs().max())

    times = []
    for _ in range(ROUNDS):
        distributed.barrier()
        start = time.perf_counter()
        distributed.all_reduce(tensor)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    seconds = sorted(times)[ROUNDS // 2]
    return {"sum_error": error, "gradient_difference": difference, "all_reduce_seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--world", type=int, required=True)
    parser.add_argument("--store", required=True, help="a file for the ranks to meet")
    parser.add_argument("--device", required=True, choices=["cuda", "cpu"])
    parser.add_argument("--count", type=int, required=True, help="numbers to sum")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda":
        device = torch.device("cuda", options.rank)
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{options.store}",
        rank=options.rank,
        world_size=options.world,
        timeout=LIMIT,
    )
    try:
        print(json.dumps(work(options.rank, options.world, device, options.count)))
    except Exception:
        traceback.print_exc()
        leave_group(1)
    leave_group()


if __name__ == "__main__":
    sys.exit(main())
