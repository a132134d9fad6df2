"""COCO 2017 validation images, streamed from the Hugging Face Hub."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, TypeVar

from PIL import Image

from vlmforge.errors import CalibrationError, ImageError
from vlmforge.images.reading import decode_image

DATASET = "detection-datasets/coco"
"""COCO 2017 on the Hub: columns ``image`` and ``image_id``, split ``val``."""

SPLIT = "val"

HUB_SECONDS = 10.0
"""How long the Hub may take to say that the dataset exists."""

IMAGE_SECONDS = 120.0
"""How long one image may take; the first waits for a whole block of them."""

T = TypeVar("T")


def coco_images() -> Iterator[tuple[str, Image.Image]]:
    """Names and images, in the dataset's order; images that cannot be decoded are left out.

    Raises:
        CalibrationError: the library, the Hub or the dataset cannot be had, or is too slow.
    """
    require_coco()
    rows = _within(IMAGE_SECONDS, lambda: iter(_stream()))
    while (row := _within(IMAGE_SECONDS, lambda: next(rows, None))) is not None:
        image = _decode(row["image"]["bytes"])
        if image is not None:
            yield f"{DATASET}/{SPLIT}/{row['image_id']}", image


def require_coco() -> None:
    """Check that COCO can be had; raises :class:`CalibrationError`."""
    _within(HUB_SECONDS, _find)


def _find() -> None:
    """Fail fast where there is no network: streaming itself would retry for minutes."""
    from huggingface_hub import HfApi

    _require_library()
    HfApi().dataset_info(DATASET, timeout=HUB_SECONDS)


def _require_library() -> None:
    if find_spec("datasets") is None:
        raise ModuleNotFoundError("the library datasets is not installed")


def _stream() -> Any:
    """The rows, images as undecoded bytes."""
    import datasets

    rows = datasets.load_dataset(DATASET, split=SPLIT, streaming=True)
    return rows.cast_column("image", datasets.Image(decode=False))


def _decode(data: bytes) -> Image.Image | None:
    try:
        return decode_image(data)
    except ImageError:
        return None


def _within(seconds: float, work: Callable[[], T]) -> T:
    """The result of ``work``, which is abandoned in its thread if it takes too long."""
    outcome: list[T] = []
    failure: list[Exception] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as error:  # of the Hub client, the dataset library and their HTTP library
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if outcome:
        return outcome[0]
    reason = failure[0] if failure else f"no answer within {seconds:.0f} s"
    raise CalibrationError(
        f"COCO cannot be had: {reason}",
        where=f"dataset {DATASET}",
        mend="connect to the network and `pip install 'vlmforge[coco]'`, or name your own photos "
        "with --images DIR; --images synthetic draws scenes, which suit the bundled sample alone",
    )
