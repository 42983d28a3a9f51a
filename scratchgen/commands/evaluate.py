"""How likely a trained model finds one part of its data, or how good its draws are next to that."""

from __future__ import annotations

import json
from typing import Any

from scratchgen.commands import common
from scratchgen.errors import UsageError

SUMMARY = "measure a trained model's likelihood, or judge its draws"
EXAMPLE = "scratchgen evaluate runs/pixelcnn-1 --split validation --json"


def add_arguments(parser: Any) -> None:
    common.add_run(parser)
    parser.add_argument(
        "--split", default="test", metavar="PART", help="train, validation or test (default)"
    )
    parser.add_argument(
        "--importance-samples",
        type=int,
        metavar="K",
        help="for the bound of a model with latent variables; default: its own number",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    common.add_machine(parser)


def run(args: Any, command: str) -> None:
    samples = args.importance_samples
    if samples is not None and samples < 1:
        raise UsageError(f"--importance-samples {samples}: at least 1")
    with common.machine(args):
        from scratchgen.training import Run
        from scratchgen.training.evaluation import evaluate

        run = Run.open(args.folder)
        model, data = run.model(), run.data()
        medium = run.medium.ready(model, data, run.folder.path)
        figures = evaluate(model, medium, data, args.split, samples)
    if args.json:
        print(json.dumps({"split": args.split, **figures.fields()}))
        return
    print(f"{args.split}: {figures.sentence(medium)} ({figures.count(medium)})")
