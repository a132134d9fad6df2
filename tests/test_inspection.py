"""What inspecting a program tells about its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.machine.single import single
from vlmforge.calibrate.images import collect_images
from vlmforge.errors import CalibrationError
from vlmforge.formats.infer import write_infer
from vlmforge.formats.kv import Snapshot
from vlmforge.formats.mxq import MxqWriter
from vlmforge.formats.sample_writer import SampleWriter
from vlmforge.inspection import inspect
from vlmforge.program.layout import pack, pack_group_scale, pack_int4


def test_weights_of_a_program(tmp_path: Path) -> None:
    codes = np.ones((16, 256), np.int8)
    groups = {"group_scale": pack_group_scale(np.ones((16, 2), np.int8))}
    cases = [
        (pack(codes), {}, {}, "int8", 8.0),
        (pack_int4(codes), {}, {}, "int4", 4.0),
        (pack_int4(codes), groups, {"group": 128}, "int4 in groups of 128", 4.0625),
    ]
    for weight, tensors, attrs, kind, bits in cases:
        named = {"weight": weight, "multiplier": np.ones(16, np.float32), **tensors}
        program = single(
            "linear", {"x": ((2, 256), "int8")}, ((2, 16), "int8"), named,
            in_features=256, out_features=16, **attrs,
        )  # fmt: skip
        program.component = "language"
        path = tmp_path / "program.mxq"
        with MxqWriter(path) as writer:
            for name, array in named.items():
                writer.add(name, array)
            writer.finish(program)
        facts = inspect(path)
        assert facts["product_weights"] == {kind: 1}
        assert facts["bits_a_weight"] == bits


def test_recorded_values(tmp_path: Path) -> None:
    write_infer(tmp_path / "a.infer", {"x": np.array([[1, -2]], np.float32)}, {"model": "m"})
    facts = inspect(tmp_path / "a.infer")
    assert facts["kind"] == "infer" and facts["model"] == "m" and facts["bytes"] == 8
    (value,) = facts["values"]
    assert (value["name"], value["shape"], value["least"], value["largest"]) == ("x", [1, 2], -2, 1)


def test_a_kept_conversation(tmp_path: Path) -> None:
    ids, keys = np.arange(3), np.array([0, -5, 2])
    Snapshot("feed", ids, keys, np.zeros((3, 16), np.int8)).save(tmp_path / "a.kv")
    facts = inspect(tmp_path / "a.kv")
    assert (facts["tokens"], facts["image_tokens"], facts["bytes"]) == (3, 1, 48)


def test_calibration_data(tmp_path: Path) -> None:
    for component, array in (("language", "inputs_embeds"), ("vision", "images")):
        with SampleWriter(tmp_path, component, {"model": "m"}) as writer:
            writer.add({array: np.zeros(3, np.float32)}, prompt="Why?")
    one = inspect(tmp_path / "vision")
    assert (one["kind"], one["count"], one["samples"][0]["prompt"]) == ("samples", 1, "Why?")
    both = inspect(tmp_path)
    assert both["kind"] == "calibration" and both["parts"]["vision"] == one


def test_images(tmp_path: Path) -> None:
    collect_images(tmp_path / "images", 2, "synthetic")
    facts = inspect(tmp_path / "images")
    assert (facts["kind"], facts["count"], facts["source"]) == ("images", 2, "scenes")


@pytest.mark.parametrize("name", ["metadata.json", "source.json"])
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"component": 3, "images": 3}'])
def test_records_that_say_nothing(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CalibrationError):
        inspect(tmp_path)
