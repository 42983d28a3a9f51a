"""A run on one page: how it went, what it drew, what it was. The file needs no other."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from scratchgen.page import document
from scratchgen.training.media.medium import Medium
from scratchgen.training.progress import validation_of
from scratchgen.training.run_folder import RunFolder

_STYLE = """
:root { --pale: #555; --box: #f4f4f4 } body { margin: 2rem auto }
img, svg { max-width: 100%; height: auto } pre { padding: .6rem .8rem }
.samples img { max-width: 36rem; image-rendering: pixelated; border: 1px solid var(--line) }
table { font-size: inherit } td, th { padding: .15rem 1rem .15rem 0; white-space: normal;
        border-bottom: 1px solid var(--line) }
"""


def page(folder: RunFolder, medium: Medium, results: Sequence[str]) -> str:
    """The report of the run in ``folder`` as HTML. ``results``: the lines that say how it ended."""
    config = folder.read_config()
    epochs = [record for record in folder.read_metrics() if "step" in record]
    samples = sorted((folder.path / "samples").iterdir())
    body = [
        f"<pre>{html.escape(config['command'])}</pre>",
        *(f"<p>{html.escape(line)}</p>" for line in results),
        "<h2>Training</h2>",
        _curves(epochs, medium.unit),
        "<h2>Samples</h2>",
        *(_SHOWN[path.suffix](path) for path in samples if path.suffix in _SHOWN),
        "<h2>Settings</h2>",
        _table({**config["config"], **config["training"]}),
        "<h2>Run</h2>",
        _table({name: x for name, x in config.items() if name not in ("config", "training")}),
    ]
    return document(f"{config['model']} on {config['data']}", body, style=_STYLE, width=60)


def _curves(epochs: Sequence[dict[str, Any]], unit: str) -> str:
    """The validation's measure over epochs, with what it was in training if that is known.

    Below it what else was reported of training. As an SVG.
    """
    name, _ = validation_of(epochs[-1])
    shown = {f"train_{name}": "training", f"validation_{name}": "validation"}
    more = [name for name in epochs[-1] if name.startswith("train_") and name not in shown]
    heights = [3.5] + [1.8] * len(more)
    figure = Figure(figsize=(8, sum(heights)), layout="constrained")
    first, *others = figure.subplots(len(heights), squeeze=False, height_ratios=heights).ravel()
    numbers = [record["epoch"] for record in epochs]
    for curve, label in shown.items():
        if curve in epochs[-1]:
            first.plot(numbers, [record[curve] for record in epochs], marker=".", label=label)
    first.set_ylabel(f"nats per {unit}" if name == "nats" else name)
    first.legend(frameon=False)
    for axes, curve in zip(others, more, strict=True):
        axes.plot(numbers, [record[curve] for record in epochs], marker=".")
        axes.set_ylabel(curve.removeprefix("train_"))
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[-1].set_xlabel("epoch")
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _picture(path: Path) -> str:
    data, name = _encoded(path), html.escape(path.stem)
    image = f'<img alt="samples, {name}" src="data:image/png;base64,{data}">'
    return f'<figure class="samples">{image}<figcaption>{name}</figcaption></figure>'


def _text_file(path: Path) -> str:
    return f"<pre>{html.escape(path.read_text(encoding='utf-8'))}</pre>"


def _sound(path: Path) -> str:
    return f'<p><audio controls src="data:audio/wav;base64,{_encoded(path)}"></audio></p>'


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


_SHOWN = {".png": _picture, ".txt": _text_file, ".wav": _sound}
"""How a file of samples is shown, by its kind."""


def _table(fields: dict[str, Any]) -> str:
    rows = (
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(_text(value))}</td></tr>"
        for name, value in fields.items()
    )
    return f"<table>{''.join(rows)}</table>"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
