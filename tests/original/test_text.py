"""The reference that reads texts gives transformers' own logits, whatever multiplies them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.families.models import write_model
from vlmforge.families import granite
from vlmforge.original.model import load_model
from vlmforge.original.text import TextReference
from vlmforge.source.checkpoint import Checkpoint


def test_logits_are_scaled(tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(str(write_model(granite.FAMILY, tmp_path / "Random-Model")))
    ids = np.arange(7, 19)
    (found,) = TextReference.load(checkpoint).logits(ids, [(2, 11)])
    with torch.inference_mode():
        wanted = load_model(checkpoint)(input_ids=torch.from_numpy(ids)[None]).logits[0, 2:11]
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5, atol=1e-5)
