"""Draw images from a trained model, or complete images of which a part is given.

With --given the picture has three columns: the image, what is known of it, and its completion.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scratchgen.commands import common
from scratchgen.errors import UsageError, unknown

SUMMARY = "draw from a trained model"
EXAMPLE = "scratchgen sample runs/pixelcnn-1 -n 16 --given test --known top"
KNOWN = ("top", "bottom", "left", "right")


def add_arguments(parser: Any) -> None:
    common.add_run(parser)
    parser.add_argument("-n", type=int, metavar="N", help="how many; default: 64, or 16 completed")
    parser.add_argument(
        "--given", metavar="DATA", help="images to complete: test, or another part or data set"
    )
    parser.add_argument(
        "--known", metavar="HALF", help=f"which half is known: {', '.join(KNOWN)}; default: top"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="T",
        help="below 1: likelier images, fewer kinds; default: 1",
    )
    parser.add_argument(
        "--label", type=int, metavar="K", help="draw class K; default: all classes in turn"
    )
    common.add_seed(parser)
    common.add_machine(parser)
    parser.add_argument(
        "-o", type=Path, dest="out", metavar="FILE", help="default: sample.png in the run folder"
    )


def run(args: Any, command: str) -> None:
    n = (16 if args.given else 64) if args.n is None else args.n
    if n < 1:
        raise UsageError(f"-n {n}: at least 1")
    if not 0 < args.temperature < float("inf"):
        raise UsageError(f"--temperature {args.temperature}: above 0")
    if args.known and not args.given:
        raise UsageError("--known: which images? Add --given test")
    if args.known and args.known not in KNOWN:
        raise unknown("half", args.known, KNOWN)
    if args.out and args.out.suffix != ".png":
        raise UsageError(f"-o {args.out}: the picture is a PNG; name it {args.out.stem}.png")
    if args.label is not None and args.given:
        raise UsageError("--label: images to complete have labels of their own; leave it out")
    how = {"temperature": args.temperature, "seed": common.seed(args)}
    with common.machine(args):
        from scratchgen.training import Run, drawing

        run = Run.open(args.folder)
        path = args.out or args.folder / "sample.png"
        if args.given:
            drawing.completions(path, run, n, args.given, args.known or "top", **how)
        else:
            drawing.samples(path, run, n, label=args.label, **how)
        print(path)
