"""Play the game f = x y, in which one minimises what the other maximises, and draw how it goes.

Steps of both at once lead away from the equilibrium, √(1 + η²) times as far each, however small the
learning rate η is; steps in turns lead around it. Training a GAN is such a game.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from scratchgen.errors import UsageError

SUMMARY = "play the game f = x y, and draw it"
EXAMPLE = "scratchgen game --steps 200 --learning-rate 0.1"
FARTHEST = 1e100
"""From the equilibrium, to where it makes sense to follow players."""
MOST = 100_000
"""Steps, which take some 20 seconds."""


def add_arguments(parser: Any) -> None:
    parser.add_argument("--steps", type=int, default=60, metavar="N", help="default: 60")
    parser.add_argument(
        "--learning-rate", type=float, default=0.2, metavar="ETA", help="η; default: 0.2"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("game.png"), metavar="FILE", help="default: game.png"
    )


def run(args: Any, command: str) -> None:
    _check(args)
    import numpy

    from autograd import backend
    from scratchgen.models.adversarial.bilinear import trajectory
    from scratchgen.training import plots

    steps, rate = args.steps, args.learning_rate
    simultaneous, alternating = (
        backend.to_numpy(trajectory(steps, rate, alternating=in_turns))
        for in_turns in (False, True)
    )
    exact = numpy.exp(_growth(rate) * numpy.arange(steps + 1))
    ways = {"simultaneous": simultaneous, "alternating": alternating}
    plots.game(args.out, ways, exact, f"√(1 + η²)ᵗ, η = {rate:g}")
    end, around = (float(plots.radius(way).max()) for way in ways.values())
    print(
        f"steps of both at once lead {end:.6g} times as far away, "
        f"√(1 + η²)^{steps} = {exact[-1]:.6g}; steps in turns {around:.6g} times at most"
    )
    print(args.out)


def _growth(learning_rate: float) -> float:
    """ln √(1 + η²): of how many times as far from the equilibrium a step of both at once leads."""
    return 0.5 * math.log1p(learning_rate * learning_rate)


def _growth_in_turns(learning_rate: float) -> float:
    """The same of a step in turns: 0 as far as η = 2, beyond which they lead away too.

    With eigenvalues λ and 1 / λ, whose sum is 2 − η²: ln |λ|.
    """
    return math.acosh(max(1.0, 0.5 * learning_rate * learning_rate - 1))


def _check(args: Any) -> None:
    """Raise UsageError for what makes no sense."""
    if args.steps < 1:
        raise UsageError(f"--steps {args.steps}: at least 1")
    if args.steps > MOST:
        raise UsageError(f"--steps {args.steps}: at most {MOST}")
    if not 0 < args.learning_rate < math.inf:
        raise UsageError(f"--learning-rate {args.learning_rate:g}: above 0")
    growth = max(_growth(args.learning_rate), _growth_in_turns(args.learning_rate))
    if args.steps * growth > math.log(FARTHEST):
        raise UsageError(
            f"--steps {args.steps}: of {args.learning_rate:g} they lead more than {FARTHEST:g} "
            "times as far away; take fewer, or a smaller --learning-rate"
        )
    if args.out.suffix != ".png":
        better = args.out.with_suffix(".png").name
        raise UsageError(f"--out {args.out}: what is drawn is a .png file; name it {better}")
