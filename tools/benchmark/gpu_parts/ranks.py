"""Two ranks, one a GPU, by NCCL; by gloo on a CPU."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from gpu_parts.part import Part, Setting, SkipError, Step, Values, expect, milliseconds

WORLD = 2
WORKER = Path(__file__).with_name("rank_worker.py")


class RanksPart(Part):
    """Sums and gradients of two ranks are right, and how fast they are summed."""

    name = "two-ranks"
    needs = "two GPUs"
    seconds = 30.0

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._count = 10_000 if setting.tiny else 100_000_000
        self._answers: list[dict[str, float]] = []

    def checks(self) -> list[Step]:
        """See :class:`Part`."""
        return [Step("sums and gradients", self._check)]

    def measures(self) -> list[Step]:
        """See :class:`Part`."""
        return [Step("sum of many numbers", self._measure, after="sums and gradients")]

    def _check(self) -> Values:
        found = self._run()
        for one in found:
            expect(one["sum_error"] == 0, f"sums are wrong by {one['sum_error']}")
            expect(
                one["gradient_difference"] < 1e-5,
                f"gradients differ from those of one process by {one['gradient_difference']}",
            )
        return {"ranks": len(found), "gradient_difference": found[0]["gradient_difference"]}

    def _measure(self) -> Values:
        seconds = max(one["all_reduce_seconds"] for one in self._answers)
        gigabytes = self._count * 4 / 1e9
        return {"ms": milliseconds(seconds), "gb_per_s": round(gigabytes / seconds, 2)}

    def _run(self) -> list[dict[str, float]]:
        """What the ranks print; they measure, too, since to start them takes long."""
        device = self.device.type
        if device == "cuda" and torch.cuda.device_count() < WORLD:
            raise SkipError("there is one GPU")
        with tempfile.TemporaryDirectory() as folder:
            store = str(Path(folder).resolve() / "store")
            ranks = [
                subprocess.Popen(
                    [
                        *(sys.executable, str(WORKER), "--device", device, "--store", store),
                        *("--rank", str(rank), "--world", str(WORLD), "--count", str(self._count)),
                    ],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                for rank in range(WORLD)
            ]
            try:
                answers = [rank.communicate() for rank in ranks]
            finally:  # also when the time is over
                for rank in ranks:
                    rank.kill()
                    rank.wait()
        for rank, (_, errors) in zip(ranks, answers, strict=True):
            if rank.returncode:
                lines = errors.strip().splitlines() or [f"exit status {rank.returncode}"]
                raise RuntimeError(lines[-1])
        self._answers = [json.loads(output.strip().splitlines()[-1]) for output, _ in answers]
        return self._answers
