"""Draw from a trained model: images, points, text or sound; or go on from what is given.

Images with --given come in three columns: the image, the half that is known of it, its completion.
Text goes on from --prompt, sound from the last second of --given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scratchgen.commands import common
from scratchgen.errors import UsageError, unknown

SUMMARY = "draw from a trained model"
EXAMPLE = "scratchgen sample runs/pixelcnn-1 -n 16 --given test --known top"
KNOWN = ("top", "bottom", "left", "right")
OPTIONS = ("label", "given", "known", "prompt", "length", "show")


def add_arguments(parser: Any) -> None:
    common.add_run(parser)
    parser.add_argument(
        "-n",
        type=int,
        metavar="N",
        help="how many; default: 64 images, or 16 completed; 1 text or sound",
    )
    parser.add_argument(
        "--given", metavar="DATA", help="images to complete, or sound: test, or other data"
    )
    parser.add_argument(
        "--known", metavar="HALF", help=f"which half is known: {', '.join(KNOWN)}; default: top"
    )
    parser.add_argument(
        "--show",
        metavar="PICTURE",
        help="instead: reconstructions, interpolations, traversals, plane, factors, translations, "
        "density, layers or critic",
    )
    parser.add_argument("--prompt", metavar="TEXT", help="text to go on from")
    parser.add_argument(
        "--length", type=float, metavar="L", help="characters of text, or seconds of sound"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="T",
        help="below 1: likelier samples, fewer kinds; default: 1",
    )
    parser.add_argument(
        "--label", type=int, metavar="K", help="draw class K; default: all classes in turn"
    )
    common.add_seed(parser)
    common.add_machine(parser)
    parser.add_argument(
        "-o",
        type=Path,
        dest="out",
        metavar="FILE",
        help="default: sample.png, .txt or .wav in the run folder",
    )


def run(args: Any, command: str) -> None:
    _check(args)
    with common.machine(args):
        from scratchgen.training import Run
        from scratchgen.training.media.medium import Request

        run = Run.open(args.folder)
        medium = run.medium
        for name in OPTIONS:
            if getattr(args, name) is not None and name not in medium.takes:
                raise UsageError(f"--{name} means nothing for a model of {medium.name}")
        path = args.out or args.folder / f"sample{medium.suffix}"
        if path.suffix != medium.suffix:
            better = path.with_suffix(medium.suffix).name
            raise UsageError(
                f"-o {path}: what is drawn is a {medium.suffix} file; name it {better}"
            )
        options = {name: getattr(args, name) for name in OPTIONS}
        asked = Request(args.n, args.temperature, common.seed(args), **options)
        medium.draw(path, run, asked)
        print(path)


def _check(args: Any) -> None:
    """Raise UsageError for what makes no sense, whatever the model."""
    common.seed(args)
    if args.n is not None and args.n < 1:
        raise UsageError(f"-n {args.n}: at least 1")
    if not 0 < args.temperature < float("inf"):
        raise UsageError(f"--temperature {args.temperature}: above 0")
    if args.length is not None and not 0 < args.length < float("inf"):
        raise UsageError(f"--length {args.length}: above 0")
    if args.known and not args.given:
        raise UsageError("--known: which images? Add --given test")
    if args.known and args.known not in KNOWN:
        raise unknown("half", args.known, KNOWN)
