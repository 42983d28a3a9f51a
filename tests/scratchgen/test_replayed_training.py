"""Every preset trains to the same bits whether its steps are replayed or taken one by one."""

import dataclasses
import functools
import warnings

import numpy
import pytest

from autograd import backend
from autograd.program import Program
from scratchgen.config import assigned
from scratchgen.training import presets
from scratchgen.training.run import Run
from scratchgen.training.run_folder import RunFolder
from scratchgen.training.trainer import Trainer

STEPS = 6
BATCH = 6

SMALL = {
    "pixelcnn": "channels=6 blocks=1 first_size=3",
    "gatedpixelcnn": "channels=6 layers=2 first_size=3",
    "pixelcnn++": "channels=6 components=2",
    "multiscale": "channels=6 blocks=1 small_layers=1 first_size=3",
    "rowlstm": "hidden=4 layers=1 first_size=3",
    "diagonalbilstm": "hidden=4 first_size=3",
    "fvbn": "",
    "nade": "hidden=8",
    "made": "hidden=8",
    "charlstm": "width=6 embedding=3 window=5",
    "chargru": "width=6 embedding=3 window=5",
    "wavenet": "window=30 stacks=1 layers=3 residual=4 skip=4",
    "autoencoder": "hidden=8 latents=3",
    "denoiser": "hidden=8 latents=3",
    "vae": "hidden=8 latents=3",
    "convvae": "hidden=4 latents=3",
    "iwae": "hidden=8 latents=3 samples=2",
    "cvae": "hidden=8 latents=3",
    "planarvae": "hidden=8 latents=3 transforms=2",
    "radialvae": "hidden=8 latents=3 transforms=2",
    "iafvae": "hidden=8 latents=3 flow_hidden=8",
    "laddervae": "hidden=8 latents=3 top=2",
    "gumbelvae": "hidden=8 latents=3 categories=3 draws=2",
    "m2": "hidden=8 latents=3 labelled=30",
    "nice": "couplings=2 hidden=8",
    "nice-2d": "couplings=2 hidden=8",
    "realnvp": "hidden=4",
    "realnvp-2d": "couplings=2 hidden=8",
    "glow": "depth=1 hidden=4",
    "glow-2d": "depth=2 hidden=8",
    "maf": "depth=2 hidden=70",
    "maf-2d": "depth=2 hidden=8",
    "iaf": "depth=1 hidden=70",
    "iaf-2d": "depth=2 hidden=8",
    "spline": "couplings=2 bins=3 hidden=8",
    "spline-2d": "couplings=2 bins=3 hidden=8",
    "gan": "hidden=4 latents=3",
    "gan-2d": "hidden=8",
    "infogan": "hidden=4 latents=3",
    "bigan": "hidden=4 latents=3 joint=8",
    "pix2pix": "hidden=4",
    "cyclegan": "hidden=4 buffer=8",
    "progressivegan": "hidden=4 latents=3",
    "msggan": "hidden=4 latents=3",
    "stackgan": "hidden=4 latents=3 embedding=3 conditions=2 blocks=1",
}
"""Of each preset that has a gradient: the fields that make it small."""

OTHERWISE = {
    "convvae": ("kl_warmup=2", 1),
    "laddervae": ("kl_warmup=0", 3),
    "gumbelvae": ("annealing=10", 2),
    "made": ("masks=1", 3),
    "gatedpixelcnn": ("classes=10", 3),
    "rowlstm": ("layers=2", 3),
    "chargru": ("dropout=0.5", 3),
    "vae": ("free_bits=0.1", 3),
    "gumbelvae straight-through": ("estimator=straight_through lowest_temperature=1.0", 3),
    "gumbelvae score": ("estimator=score lowest_temperature=1.0", 3),
    "gan": ("norm=none spectral=1", 3),
    "gan-2d": ("loss=wgan", 3),
    "gan-2d hinge": ("loss=hinge critic_steps=1", 3),
    "stackgan": ("first_steps=2 norm=none", 1),
    "pixelcnn": ("optimiser=sgd clip=0.1 warmup=3", 3),
}
"""Other settings of a preset, and how many of the steps are replayed: all after the first two that
are alike, or fewer where these come later."""

NEVER = {"made", "progressivegan", "laddervae", "gumbelvae", "convvae"}
"""Presets of which no two steps of the first ones are alike, as the model says (``phase``)."""


@pytest.fixture(autouse=True)
def on_numpy():
    if backend.current() != "numpy":
        pytest.skip("steps are recorded on NumPy only")


@functools.lru_cache
def loaded(name):
    preset = presets.find(name)
    levels = assigned(SMALL[name].split(), "levels") or preset.levels
    return preset.medium.load(preset.data, levels)


def trainer(name, changes, path):
    preset, data = presets.find(name), loaded(name)
    fields = [*SMALL[name].split(), f"batch_size={BATCH}", *changes]
    config, settings = preset.configured(data, fields)
    folder = RunFolder.new(path)
    folder.write_config(
        {
            **{"command": "", "model": name, "data": data.name, "seed": 0, "backend": "numpy"},
            **{"dtype": "float32", "medium": preset.medium.description(data), "versions": {}},
            **{"config": dataclasses.asdict(config), "training": dataclasses.asdict(settings)},
        }
    )
    run = Run.open(folder.path)
    model = run.new_model()
    made = Trainer(model, run.medium, data, run.settings, run.seed, run.folder)
    made._initialise()
    return made


def state(trainer):
    """All that training changes."""
    arrays = {f"model.{path}": x for path, x in trainer.model.values().items()}
    for player, optimisation in trainer.optimisations.items():
        arrays |= {f"{player}.{key}": x for key, x in optimisation.state().items()}
    return arrays | {f"feed.{key}": x for key, x in trainer.feed.state().items()}


def check_same(name, changes, path):
    """Train twice, comparing all after each step. The recorded step, and its number of replays."""
    ordinary, replayed = (trainer(name, changes, path / kind) for kind in ("ordinary", "replayed"))
    ordinary._replayed = ordinary._take
    feeds = [
        made.feed.after(0, functools.partial(lambda made, n: made._rng(0, n), made))
        for made in (ordinary, replayed)
    ]
    calls = []
    run = Program.__call__
    with pytest.MonkeyPatch.context() as patched, warnings.catch_warnings():
        warnings.simplefilter("ignore")

        def counted(program, args):
            calls.append(program)
            return run(program, args)

        patched.setattr(Program, "__call__", counted)
        for number in range(STEPS):
            metrics = [
                made._one_step(next(feed)[0])
                for made, feed in zip((ordinary, replayed), feeds, strict=True)
            ]
            same(number, *metrics)
            same(number, state(ordinary), state(replayed))
    return replayed._replayed, len(calls)


def same(number, a, b):
    assert a.keys() == b.keys()
    for key in a:
        x, y = numpy.asarray(a[key]), numpy.asarray(b[key])
        assert x.dtype == y.dtype and x.tobytes() == y.tobytes(), f"step {number}: {key} differs"


def test_each_preset_with_a_gradient_is_tried():
    with_gradient = {
        name for name, preset in presets.PRESETS.items() if not hasattr(preset.model, "update")
    }
    assert with_gradient == set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_replayed_training_is_the_same_bit_for_bit(name, tmp_path):
    step, replays = check_same(name, [], tmp_path)
    assert step.refusal is None
    assert replays == (0 if name in NEVER else STEPS - 3)


@pytest.mark.parametrize("case", OTHERWISE)
def test_so_is_that_with_other_settings(case, tmp_path):
    changes, expected = OTHERWISE[case]
    step, replays = check_same(case.split()[0], changes.split(), tmp_path)
    assert step.refusal is None
    assert replays == expected
