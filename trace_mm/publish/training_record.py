"""What a training's config says of its images. The config is read, never run."""

import ast
from pathlib import PurePath
from typing import Any


def training_images(config: str) -> str | None:
    """The training images of a config, in words.

    Args:
        config: the text that MMEngine keeps in its checkpoints: assignments of literals and of
            ``dict(...)``.

    Returns:
        The kind of images with its settings, such as ``"SceneImages (seed 0, length 4000)"``; of
        paths only the last part. None if the config does not say.
    """
    try:
        tree = ast.parse(config)
        loaders = [
            _value(line.value)
            for line in tree.body
            if isinstance(line, ast.Assign)
            and [ast.unparse(target) for target in line.targets] == ["train_dataloader"]
        ]
        source = loaders[-1]["dataset"]["source"]
        kind = str(source["type"]).rpartition(".")[2]
    except (SyntaxError, ValueError, LookupError, TypeError):
        return None
    settings = [f"{name} {_plain(value)}" for name, value in source.items() if name != "type"]
    return f"{kind} ({', '.join(settings)})" if settings else kind


def _value(node: ast.expr) -> Any:
    """The value of a literal in which ``dict(...)`` may be called."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict" and not node.args:
        return {word.arg: _value(word.value) for word in node.keywords}
    if isinstance(node, ast.Dict):
        keys = [ast.literal_eval(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(part) for part in node.elts]
    return ast.literal_eval(node)


def _plain(value: Any) -> str:
    if isinstance(value, str) and ("/" in value or "\\" in value):
        return PurePath(value.replace("\\", "/")).name
    return str(value)
