"""What timings are taken on."""

import os

from benchmarks.machine import device_name, machine


def test_a_machine_is_told_by_its_parts():
    about = machine(["numpy"], [], [0, 1], True)
    assert {"processor", "cores", "python", "numpy", "scipy", "blas", "pinned"} <= about.keys()
    assert about["freed memory"] == "kept" and about["device"] == device_name()
    assert about["blas"]


def test_a_device_is_a_name_for_a_folder():
    name = device_name()
    assert name.endswith(f"-{os.cpu_count()}-cores")
    assert name == name.lower() and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_marks_and_clock_rates_are_no_part_of_the_name(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    text = "Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz"
    monkeypatch.setattr("benchmarks.machine._processor", lambda: text)
    assert device_name() == "intel-xeon-e5-2690-v4-8-cores"


def test_what_a_processor_is_beyond_its_name_is_told_and_what_openblas_was_told(
    monkeypatch, tmp_path
):
    text = "vendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\n\n"
    (tmp_path / "cpuinfo").write_text(text + text.replace("26", "25"))
    monkeypatch.setattr("benchmarks.machine.Path", lambda _: tmp_path / "cpuinfo")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    about = machine()
    assert (about["processor"], about["family"]) == ("AMD EPYC", "26, model 2")
    assert about["OPENBLAS_CORETYPE"] == "Haswell"


def test_where_the_system_does_not_say_what_the_processor_is_its_architecture_stands_for_it(
    monkeypatch, tmp_path
):
    monkeypatch.setattr("benchmarks.machine.Path", lambda _: tmp_path / "missing")
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    about = machine()
    assert about["processor"] == "arm64" and "family" not in about
