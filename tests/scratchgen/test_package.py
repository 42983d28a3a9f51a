"""Importing the package."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python(code, folder):
    """Run ``code`` in that folder, which also comes first on the path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [folder, ROOT]))}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_another_package_named_autograd_is_one_clear_error(tmp_path):
    (tmp_path / "autograd").mkdir()
    (tmp_path / "autograd" / "__init__.py").write_text("from .differential_operators import grad\n")
    result = python("import scratchgen", tmp_path)
    assert result.returncode == 1
    message = result.stderr.splitlines()[-1]
    assert message.startswith("ImportError: scratchgen: ")
    assert str(tmp_path) in message and "pip uninstall autograd" in message


def test_importing_the_package_loads_nothing_heavy(tmp_path):
    result = python("import sys, scratchgen; print('numpy' in sys.modules)", tmp_path)
    assert result.stdout == "False\n", result.stderr


def test_the_command_line_answers_without_loading_the_libraries(tmp_path):
    code = (
        "import sys; from scratchgen.cli import main; main(['tra']); print('numpy' in sys.modules)"
    )
    result = python(code, tmp_path)
    assert result.stdout == "False\n", result.stderr
