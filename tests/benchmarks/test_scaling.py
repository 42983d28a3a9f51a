"""Exponents of made-up costs, the memory of a known program, and a line of a tiny model."""

import math

import numpy
import pytest

from autograd import backend
from benchmarks import scaling
from benchmarks.bench import Options
from scratchgen.models.flows.realnvp import RealNVPPoints, RealNVPPointsConfig

FIELDS = {"model", "axis", "value", "ours_ms", "memory_mib", "exponent", "memory_exponent"}
"""Of each row, from which reports draw lines."""


def tiny(couplings):
    config = RealNVPPointsConfig(couplings=couplings, hidden=4)
    points = numpy.random.default_rng(0).standard_normal((8, 2), "float32")
    return RealNVPPoints(config, backend.default_rng(0)), backend.asarray(points)


TINY = scaling.Line("tiny", "depth", (1, 2, 4), tiny, (1, 1))


def test_a_power_law_gives_its_exponent():
    sizes = [3, 6, 12, 24]
    assert scaling.exponent(sizes, [0.2 * n**1.7 for n in sizes]) == pytest.approx(1.7)
    assert scaling.exponent(sizes, [5.0] * 4) == pytest.approx(0)


def test_the_fit_is_the_line_of_least_squares_in_logarithms(rng):
    sizes, costs = [1, 2, 4, 8, 16], numpy.exp(rng.standard_normal(5))
    slope, _ = numpy.polyfit(numpy.log(sizes), numpy.log(costs), 1)
    assert scaling.exponent(sizes, costs) == pytest.approx(slope)


def test_fixed_costs_lower_the_exponent_of_all_sizes_more_than_that_of_the_larger_half():
    line = scaling.Line("made up", "n", (1, 2, 4, 8, 16), tiny, (2, 1))
    costs = {n: 20.0 + n**2 for n in line.values}
    fitted = scaling._fitted(line, costs, dict(zip(line.values, line.values, strict=True)))
    assert fitted["exponent"] == pytest.approx(scaling.exponent([4, 8, 16], [36, 84, 276]))
    assert fitted["exponent_of_all"] < fitted["exponent"] < fitted["expected"] == 2
    assert fitted["memory_exponent"] == pytest.approx(fitted["memory_expected"]) == 1


def test_the_peak_is_what_a_program_holds_at_a_time():
    def program():
        first = backend.xp.ones(3 * 2**17)  # of 8 bytes: 3 MiB
        del first
        second = backend.xp.ones(2**17)
        return [second, backend.xp.ones(2**17)]

    kept = [backend.xp.ones(2**20)]  # was there before
    assert scaling.peak_mib(program) == pytest.approx(3, rel=0.01)
    assert kept


def test_what_only_a_first_call_allocates_is_not_counted():
    made = []

    def program():
        if not made:
            made.append(backend.xp.ones(2**20))
        return backend.xp.ones(2**17)

    assert scaling.peak_mib(program) == pytest.approx(1, rel=0.01)


def test_a_line_has_a_row_for_each_size_with_its_exponents(monkeypatch):
    monkeypatch.setattr(scaling, "LINES", {"tiny": TINY})
    options = Options(names=["tiny"], backends=[backend.current()], seconds=0.0)
    rows = list(scaling.rows(options))
    assert [row["value"] for row in rows] == [1, 2, 4]
    for row in rows:
        assert row.keys() >= FIELDS
        assert row["backend"] == backend.current()
        assert row["name"] == f"tiny: depth {row['value']}"
        assert row["ours_ms"] > 0 and row["peer_ms"] is None
        assert row["unit_us"] == pytest.approx(1e3 * row["ours_ms"] / row["value"])
        assert math.isfinite(row["exponent"]) and row["exponent"] == rows[0]["exponent"]
        assert len(scaling.cells(row)) == len(scaling.COLUMNS)
    memory = [row["memory_mib"] for row in rows]
    assert memory[0] < memory[1] < memory[2] < 4 * memory[0]


def test_every_line_makes_the_model_and_the_batch_of_a_size():
    for line in scaling.LINES.values():
        model, batch = line.made(line.values[0])
        loss, _ = model.loss(batch, backend.default_rng(0))
        assert loss.shape == ()
        assert len(line.values) >= 4
        ratios = {b / a for a, b in zip(line.values, line.values[1:], strict=False)}
        assert ratios == {2}


def test_the_chart_is_a_picture_of_every_line(tmp_path):
    file = tmp_path / "chart.png"
    rows = [row for _ in range(2) for row in scaling.measured(TINY, 0.0)]
    for row in rows[:3]:
        row["model"] = "another"
    scaling.chart(rows, str(file))
    assert file.read_bytes().startswith(b"\x89PNG")
