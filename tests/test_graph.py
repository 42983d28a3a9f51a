"""Drawings of graphs: what is in them, what they say about memory, and where the boxes go."""

import itertools
import re
import xml.etree.ElementTree as ElementTree

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend, no_grad
from autograd.graph import LIMIT, describe, draw, human, to_dot, to_svg
from autograd.layout import COLUMN_GAP, arrange, curve


def variable(*shape):
    return Tensor(backend.asarray(numpy.ones(shape)))


def two_layers():
    x, W, b = variable(32, 16), variable(16, 64), variable(64)
    h = np.tanh(x @ W + b)
    return np.sum(h * h), {"x": x, "W": W, "b": b, "h": h}


# --------------------------------------------------------------------------------------- contents


def test_every_operation_and_leaf_is_drawn_with_its_name_shape_and_dtype():
    y, names = two_layers()
    for text in (to_dot(y, names=names), to_svg(y, names=names)):
        for word in ("matmul", "add", "h = tanh", "multiply", "sum", "W", "b", "x"):
            assert f">{word}<" in text or f'"{word}\\n' in text
        assert "(16, 64) float64" in text
        assert "scalar float64" in text


def test_the_edges_are_those_of_the_graph_and_a_double_one_is_marked():
    y, names = two_layers()
    graph = describe(y, names)
    labels = [box.name for box in graph.boxes]
    edges = {(labels[i], labels[j]): times for (i, j), times in graph.edges.items()}
    assert edges == {
        ("x", "matmul"): 1,
        ("W", "matmul"): 1,
        ("matmul", "add"): 1,
        ("b", "add"): 1,
        ("add", "h = tanh"): 1,
        ("h = tanh", "multiply"): 2,
        ("multiply", "sum"): 1,
    }
    assert to_svg(y).count("marker-end") == len(edges)
    assert "×2" in to_svg(y)
    assert to_dot(y).count("->") == len(edges)


def test_a_retained_array_is_counted_once_and_a_leafs_not_at_all():
    y, names = two_layers()
    graph = describe(y, names)
    memory = {box.name: (box.keeps, box.shares) for box in graph.boxes}
    hidden = 32 * 64 * 8
    assert memory["h = tanh"] == (hidden, 0)
    assert memory["multiply"] == (0, hidden)
    assert memory["matmul"] == (0, 8 * (32 * 16 + 16 * 64))
    assert memory["add"] == memory["sum"] == (0, 0)
    assert graph.kept == hidden
    assert "kept for the backward pass: 16.4 kB" in draw(y)


def test_a_view_keeps_the_whole_memory_that_it_is_a_view_of():
    x, w = variable(100), variable(10)
    row = np.exp(x)[:10]
    y = row * w
    memory = {box.name: (box.keeps, box.shares) for box in describe(y).boxes}
    assert memory["exp"] == (800, 0)
    assert memory["multiply"] == (0, 880)  # the whole of exp(x), and w


def test_a_freed_graph_says_so():
    y, _ = two_layers()
    y.backward()
    assert "freed" in to_dot(y)
    assert describe(y).kept == 0


def test_several_results_of_one_operation_are_told_apart():
    first, second = np.array_split(variable(4, 4), 2)
    graph = describe(first * second)
    names = [box.name for box in graph.boxes]
    assert names == ["leaf", "array_split", "[0]", "[1]", "multiply"]
    assert graph.boxes[1].shape == "2 results"


def test_depth_leaves_out_what_is_further_away():
    y, names = two_layers()
    graph = describe(y, names, depth=2)
    assert [box.name for box in graph.boxes] == ["…", "h = tanh", "multiply", "sum"]
    assert "nearest 3 of 8" in graph.title
    assert graph.kept == describe(y).kept
    to_svg(y, depth=2)


def test_names_with_special_characters_are_escaped():
    x = variable(3)
    y = np.exp(x)
    names = {'a<b & "c"': x}
    assert ElementTree.fromstring(to_svg(y, names=names)) is not None
    assert 'a<b & \\"c\\"' in to_dot(y, names=names)


# ------------------------------------------------------------------------------ files and refusals


@pytest.mark.parametrize("ending", ["svg", "dot"])
def test_the_ending_of_the_file_says_what_is_written(tmp_path, ending):
    y, _ = two_layers()
    text = draw(y, tmp_path / f"graph.{ending}")
    assert (tmp_path / f"graph.{ending}").read_text(encoding="utf-8") == text
    assert text.startswith({"svg": "<svg", "dot": "digraph"}[ending])


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.svg or \.dot"):
        draw(variable(3) * 2, tmp_path / "graph.png")


def test_a_plain_array_is_refused():
    with no_grad():
        y = variable(3) * 2
    with pytest.raises(TypeError, match=r"expected a Tensor, got \(3,\) float64.*no graph"):
        draw(y)


def test_a_picture_that_nobody_could_read_is_refused_but_not_its_dot():
    y = variable(2)
    for _ in range(1000):
        y = np.sin(y)
    with pytest.raises(ValueError, match=f"1001 nodes.*more than {LIMIT}.*depth=20.*to_dot"):
        draw(y)
    assert to_dot(y).count("->") == 1000
    assert draw(y, depth=20).startswith("<svg")


def test_a_lone_leaf_can_be_drawn():
    assert ">leaf<" in draw(variable(3))


# ----------------------------------------------------------------------------------------- layout


def random_graph(rng, count):
    sizes = [(float(rng.integers(40, 200)), float(rng.integers(30, 70))) for _ in range(count)]
    edges = [
        (int(source), target)
        for target in range(1, count)
        for source in rng.choice(target, size=min(target, int(rng.integers(1, 4))), replace=False)
    ]
    return sizes, edges


@pytest.mark.parametrize("count", [2, 9, 40, 150])
def test_boxes_do_not_overlap_and_edges_lead_down(rng, count):
    sizes, edges = random_graph(rng, count)
    layout = arrange(sizes, edges)
    for i, j in itertools.combinations(range(count), 2):
        (x1, y1), (x2, y2) = layout.centres[i], layout.centres[j]
        apart_x = abs(x1 - x2) - (sizes[i][0] + sizes[j][0]) / 2
        apart_y = abs(y1 - y2) - (sizes[i][1] + sizes[j][1]) / 2
        assert apart_x > COLUMN_GAP - 1e-6 or apart_y > 0
    for source, target in edges:
        path = layout.paths[source, target]
        heights = [y for _, y in path]
        assert heights == sorted(heights)
        assert path[0][1] == pytest.approx(layout.centres[source][1] + sizes[source][1] / 2)
        assert path[-1][1] == pytest.approx(layout.centres[target][1] - sizes[target][1] / 2)
    assert all(w / 2 - 1e-6 <= x <= layout.width - w / 2 + 1e-6
               for (x, _), (w, _) in zip(layout.centres, sizes, strict=True))  # fmt: skip


def test_edges_pass_boxes_by(rng):
    sizes, edges = random_graph(rng, 40)
    layout = arrange(sizes, edges)
    for edge, path in layout.paths.items():
        for (x, top), (_, bottom) in itertools.pairwise(path[1:-1]):
            for i, ((cx, cy), (w, _)) in enumerate(zip(layout.centres, sizes, strict=True)):
                if i not in edge and top < cy < bottom:
                    assert abs(cx - x) > w / 2


def test_a_chain_is_a_straight_line():
    layout = arrange([(50.0, 20.0)] * 5, [(i, i + 1) for i in range(4)])
    assert len({x for x, _ in layout.centres}) == 1


def test_two_crossed_chains_are_uncrossed():
    # 0 → 3 and 1 → 2, then both into 4: in the order in which they were made they would cross
    layout = arrange([(50.0, 20.0)] * 5, [(0, 3), (1, 2), (2, 4), (3, 4)])
    left_to_right = [layout.centres[i][0] for i in range(4)]
    assert (left_to_right[0] < left_to_right[1]) == (left_to_right[3] < left_to_right[2])


def test_curves_start_and_end_where_the_path_does():
    numbers = re.findall(r"-?[\d.]+", curve([(0, 0), (10, 20), (10, 40)]))
    assert numbers[:2] == ["0.0", "0.0"]
    assert numbers[-2:] == ["10.0", "40.0"]


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (8192, "8.19 kB"), (999_600, "1 MB"), (3 * 10**12, "3 TB")],
)
def test_bytes_are_written_to_be_read(count, words):
    assert human(count) == words
