"""Steps and readings that several experiments have in common."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reproduction import needs
from reproduction.experiment import Experiment, Need, Reading, Row, Setting, Step
from reproduction.needs import TRAINED_ON

from trace_mm.files.shipped_configs import config_names

SOURCES = {
    "maskcut": "github.com/facebookresearch/CutLER",
    "promerge": "the code of its authors",
    "tokencut": "github.com/YangtaoWANG95/TokenCut",
    "cutler": "github.com/facebookresearch/CutLER",
}
_GRADIENTS = ("canny", "sobel")
MINI_TEACHER = "trace-teacher_trace-tiny_scenes"
MINI_STUDENT = "trace-tiny"
MINI_TRAINING = "trace_trace-tiny_lora64_scenes"
ITERATIONS = 20000
"""Of the paper's students, as their configs have it."""
UNCALIBRATED = 0.5
"""Threshold of edges of a student as training leaves it: most are near 0 or 1."""
SOFT = {"threshold": 0.15, "min_border": 0.2, "weak_share": 0.5, "min_gain": 0.1}
"""Settings of the refinement in mini runs for edges of the shipped teacher, and of students trained
there. Few of them exceed 0.5; the preset of scenes, made for the shipped student's, asks for a
border of 0.9 and never cuts by them."""
MINI = (
    "Ours are of drawn scenes with the shipped models, the paper's of its own data (of several, "
    "COCO 2014): compare what rows differ by, not the numbers."
)


@dataclass(frozen=True)
class Benchmark:
    """Images whose masks are scored.

    Attributes:
        name: in the names of the configs.
        title: in tables.
        need: what it consists of; None for drawn scenes.
    """

    name: str
    title: str
    need: Need | None


VOC_2012 = Benchmark("voc2012", "VOC 2012", needs.VOC_2012)
COCO_2014 = Benchmark("coco2014", "COCO 2014", needs.COCO_2014)
COCO_2017 = Benchmark("coco2017", "COCO 2017", needs.COCO_2017)
LVIS = Benchmark("lvis", "LVIS", needs.LVIS)
KITTI = Benchmark("kitti", "KITTI", needs.KITTI)
OBJECTS365 = Benchmark("objects365", "Objects365", needs.OBJECTS365)
SA_1B = Benchmark("sa1b", "SA-1B", needs.SA_1B)
SCENES = Benchmark("scenes", "scenes", None)


@dataclass
class Plan:
    """Collects the steps and needs of an experiment, each once.

    Args:
        setting: how it is run.
    """

    setting: Setting
    steps: dict[str, Step] = field(default_factory=dict)
    needs: dict[str, Need] = field(default_factory=dict)

    def benchmarks(self, *full: Benchmark) -> tuple[Benchmark, ...]:
        """Those of the paper; in a mini run drawn scenes."""
        return (SCENES,) if self.setting.mini else full

    def step(self, name: str, command: list[str], makes: Path) -> Path:
        """Add a command, unless it is there; what it makes."""
        self.steps.setdefault(name, Step(name, tuple(command), makes))
        return makes

    def need(self, need: Need) -> None:
        """Add what a person has to bring."""
        self.needs.setdefault(need.name, need)

    def root(self, benchmark: Benchmark) -> Path:
        """The folder of a benchmark's images and annotations."""
        if benchmark.need is None:
            return self.scenes("test", 1, 0)
        self.need(benchmark.need)
        return self.setting.data / benchmark.need.folder

    def scenes(self, part: str, seed: int, start: int, *more: str) -> Path:
        """Drawn scenes: images, instances, panoptic and semantic maps."""
        folder = self.setting.work / "scenes" / part
        command = ["python", "tools/dataset_converters/scenes.py", "--out", str(folder)]
        command += ["--seed", str(seed), "--start", str(start), *more]
        return self.step(f"scenes-{part}", [*command, "--length", str(self.setting.images)], folder)

    def masks(self, method: str, benchmark: Benchmark) -> Path:
        """A method's masks of a benchmark: brought along, or of scenes by our generators."""
        root, name = self.root(benchmark), f"{method}_{benchmark.name}"
        if benchmark.need is not None:
            self.need(
                needs.masks_of(method, benchmark.name, benchmark.need.folder, SOURCES[method])
            )
            return root / "masks" / f"{name}.json"
        out = self.setting.work / "masks" / name
        command = ["trace-mm", "segment", str(root / "images"), "--generator", method]
        command += ["--backbone", "trace-tiny", "--quiet", "--out", str(out), *self.shown()]
        return self.step(f"masks-{name}", [*command, *self.device()], out / "instances.json")

    def student(self, trained_on: str = TRAINED_ON) -> str:
        """A student to read edges with: the paper's, or in a mini run the shipped one."""
        return MINI_STUDENT if self.setting.mini else str(self.paper_student(trained_on=trained_on))

    def paper_student(self, backbone: str | None = None, trained_on: str = TRAINED_ON) -> Path:
        """The paper's student, trained here once for all experiments; its last checkpoint.

        Args:
            backbone: instead of the setting's.
            trained_on: of :data:`reproduction.needs.STUDENT_DATA`. In a mini run, scenes are in
                its place, and the shipped model in that of the backbone.
        """
        if self.setting.mini:
            return self.changed_student("student", {})
        config = f"trace_{backbone or self.setting.backbone}_lora64_{trained_on}"
        options = self._training_data(trained_on)
        return self.train(config, config, options, ITERATIONS)

    def changed_student(self, name: str, options: Mapping[str, object]) -> Path:
        """A student like the paper's with something changed; its last checkpoint.

        Args:
            name: of the training.
            options: settings of the config that are changed.
        """
        if self.setting.mini:
            options = {**self._mini_training(), **options}
            return self.train(name, MINI_TRAINING, options, self.setting.iterations)
        config = f"trace_{self.setting.backbone}_lora64_{TRAINED_ON}"
        options = {**self._training_data(TRAINED_ON), **options}
        return self.train(name, config, options, ITERATIONS)

    def train(self, name: str, config: str, options: Mapping[str, object], iterations: int) -> Path:
        """A training that goes on where it stopped; its last checkpoint."""
        work = self.setting.work / "trainings" / name
        command = ["trace-mm", "train", config, "--fill-cache", "--resume", "--work-dir", str(work)]
        command += ["--cfg-options", *(f"{key}={value}" for key, value in options.items())]
        return self.step(f"train-{name}", command, work / f"iter_{iterations}.pth")

    def teacher(self) -> str:
        """Whose attention is read without training."""
        return MINI_TEACHER if self.setting.mini else self.setting.backbone

    def mask_scores(
        self,
        name: str,
        method: str,
        benchmark: Benchmark,
        edges: str | None,
        options: Mapping[str, object] | None = None,
    ) -> Path:
        """Scores of a method's masks, refined by edges from somewhere, or as they are for None."""
        root, masks = self.root(benchmark), self.masks(method, benchmark)
        changes = {"test_dataloader.dataset.masks.path": os.path.relpath(masks, root)}
        config = f"{method}_trace_{benchmark.name}"
        name = f"{name}-{benchmark.name}"
        return self.refined_scores(name, config, root, edges, {**changes, **(options or {})})

    def refined_scores(
        self,
        name: str,
        config: str,
        root: Path,
        edges: str | None,
        options: Mapping[str, object],
    ) -> Path:
        """Scores of the masks that a config names, refined by edges, or as they are for None.

        Args:
            name: of the scores.
            config: of refined masks.
            root: the folder of images, annotations and masks.
            edges: where they come from.
            options: settings of the config.
        """
        out = self.setting.work / "scores" / f"{name}.json"
        command = ["trace-mm", "test", config, "--out", str(out)]
        command += ["--work-dir", str(self.setting.work / "logs" / name)]
        changes: dict[str, object] = {"data_root": root, "test_dataloader.num_workers": 0}
        if edges is None:
            changes["model.refiner"] = None
        else:
            command += ["--edges-from", edges]
            is_model = not edges.startswith(_GRADIENTS) and not Path(edges).is_dir()
            changes |= self.edge_size("model.edges.") if is_model else {}
            changes |= self.refiner(edges)
        changes |= options
        command += ["--cfg-options", *(f"{key}={value}" for key, value in changes.items())]
        return self.step(f"scores-{name}", command, out)

    def edge_scores(self, name: str, config: str, source: Sequence[str] = ()) -> Path:
        """Scores of edges against borders of panoptic segments, or of scenes.

        Args:
            name: of the scores.
            config: its name without that of the data.
            source: options that say where edges come from.
        """
        options = [f"test_dataloader.dataset.length={self.setting.images}"]
        options += ["test_evaluator.workers=1"]
        if not self.setting.mini:
            self.need(needs.PANOPTIC_2014)
            options = [f"data_root={self.setting.data / needs.PANOPTIC_2014.folder}"]
        out = self.setting.work / "scores" / f"edges-{name}.json"
        config = f"{config}_{'scenes' if self.setting.mini else 'coco2014'}"
        command = ["trace-mm", "test", config, "--out", str(out), *source]
        command += ["--work-dir", str(self.setting.work / "logs" / f"edges-{name}")]
        command += ["--cfg-options", "test_dataloader.num_workers=0", *options]
        return self.step(f"scores-edges-{name}", command, out)

    def histogram(self, name: str, out: Path, data: Need, *more: str) -> Path:
        """A picture of where t* lies in the images of a data set, scenes in a mini run.

        Args:
            name: of the step.
            out: the picture; a JSON file of the same name has the numbers.
            data: images, and a COCO file.
            more: options of the tool.
        """
        options: dict[str, object] = {}
        if self.setting.mini:
            config = "trace-teacher_trace-tiny_coco-photos"
            options |= {"data_root": self.scenes("test", 1, 0), **self.edge_size()}
        else:
            self.need(data)
            config, dataset = teacher_config(self.setting.backbone), "test_dataloader.dataset"
            options["data_root"] = self.setting.data / data.folder
            options[f"{dataset}.ann_file"] = data.holds[-1]
            options[f"{dataset}.data_prefix.img_path"] = data.holds[0]
        command = ["python", "tools/analysis_tools/timestep_histogram.py"]
        command += [f"configs/trace/{config}.py", "--divergences", "kl", "--out", str(out)]
        command += ["--numbers", str(out.with_suffix(".json")), *more]
        command += ["--cfg-options", *(f"{key}={value}" for key, value in options.items())]
        return self.step(name, command, out)

    def record(self, step: str) -> Path:
        """The file that says what a step took."""
        return self.setting.work / "steps" / f"{step}.json"

    def seconds(self, step: str, scores: Path) -> Reading:
        """How long a step took, start included, in milliseconds an image that it has scored."""
        return Reading(self.record(step), "seconds", 1000, over=scores)

    def threshold(self, edges: str) -> dict[str, object]:
        """The setting of a config for edges of a student that a full run has trained."""
        trained = edges.endswith(".pth") and not self.setting.mini
        return {"model.refiner.threshold": UNCALIBRATED} if trained else {}

    def refiner(self, edges: str) -> dict[str, object]:
        """Settings of a refinement of masks that suit where edges come from."""
        if edges == MINI_TEACHER or (edges.endswith(".pth") and self.setting.mini):
            return {f"model.refiner.{name}": value for name, value in SOFT.items()}
        return self.threshold(edges)

    def edge_size(self, prefix: str = "model.") -> dict[str, object]:
        """The setting of a config that says at which size an edge model is shown images."""
        return {} if self.setting.size is None else {f"{prefix}size": self.setting.size}

    def shown(self) -> list[str]:
        """The option of a command for the same."""
        return [] if self.setting.size is None else ["--size", str(self.setting.size)]

    def device(self) -> list[str]:
        """The option that says where models compute."""
        return [] if self.setting.device is None else ["--device", self.setting.device]

    def _training_data(self, trained_on: str) -> dict[str, object]:
        """Settings of a training: where its images are, and those it is scored on meanwhile."""
        images = needs.STUDENT_DATA[trained_on]
        photos = needs.COCO_2014_SPLIT if trained_on == "coco2014" else needs.PHOTOS
        self.need(images)
        self.need(photos)
        folders = {"data_root": images.folder, "val_root": photos.folder}
        return {key: self.setting.data / folder for key, folder in folders.items()}

    def _mini_training(self) -> dict[str, object]:
        """Settings of a training that make it short, on scenes."""
        setting = self.setting
        return {
            "max_iters": setting.iterations,
            "decoder_iters": setting.iterations // 2,
            "train_dataloader.dataset.source.length": setting.images,
            "train_dataloader.dataset.pseudo_edges.folder": setting.work / "pseudo_edges",
            "train_dataloader.num_workers": 0,
            "train_dataloader.persistent_workers": False,
            "val_dataloader.dataset.length": 2,
            "train_cfg.val_interval": setting.iterations,
            "default_hooks.checkpoint.interval": setting.iterations,
            "model.size": setting.size or 128,
        }


def teacher_config(backbone: str) -> str:
    """The name of the config of a backbone's teacher, which says at how many pixels it is shown.

    Raises:
        ValueError: if there is none.
    """
    names = [name.removeprefix("trace/") for name in config_names()]
    found = [
        name for name in names if re.fullmatch(rf"trace-teacher_{re.escape(backbone)}_\d+", name)
    ]
    if not found:
        raise ValueError(f"{backbone}: no config of configs/trace is of a teacher on it")
    return found[0]


def mask_readings(scores: Path, *columns: tuple[str, str]) -> dict[str, Reading]:
    """Numbers of a file of instance scores by column: (column, key)."""
    return {column: Reading(scores, key) for column, key in columns}


def experiment(
    plan: Plan, title: str, columns: tuple[str, ...], rows: Sequence[Row], *choices: str
) -> Experiment:
    """All that was planned, as an experiment."""
    steps, needed = tuple(plan.steps.values()), tuple(plan.needs.values())
    said = (MINI,) if plan.setting.mini else ()
    return Experiment(title, columns, tuple(rows), steps, needed, (*said, *choices))
