"""Processor of packages: images and videos as the vision program was compiled for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL.Image import Resampling
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import SizeDict
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from transformers.processing_utils import VideosKwargs
from transformers.video_utils import VideoMetadata, make_batched_videos

from vlmforge.families.processor import Processor
from vlmforge.formats.settings import VisualSettings
from vlmforge.images.patches import COLORS
from vlmforge.images.tiles import TILES
from vlmforge.images.video import Video
from vlmforge.images.video_preprocess import VideoPreprocessor
from vlmforge.integrations.transformers.verified import verifying
from vlmforge.source.processor import NoVideos

IMAGE_SIZE = SizeDict(height=224, width=224)
"""Pixels; what packages of the fixed layout are compiled for."""

ANY_SIDE = 1 << 16
"""Patches along a side, which the model looks at."""


@verifying
class MobilintQwen2VLImageProcessor(Qwen2VLImageProcessorPil):
    """Qwen2-VL's image processor, with a fixed size where the package has the fixed layout.

    Attributes:
        layout: ``"fixed"``, or ``"dynamic"`` for sizes that follow the image.
        video_processor: settings for videos, None for those of images.
    """

    layout = "fixed"
    video_processor: dict[str, Any] | None = None

    def _preprocess(self, images: list[np.ndarray], do_resize: bool, **kwargs: Any) -> BatchFeature:
        """Images ``[3, height, width]`` as patches; those of one compiled size by Lanczos.

        They have that size before transformers divides them, whose releases resize in many ways.
        """
        if do_resize and self.layout == "fixed":
            how = (IMAGE_SIZE, Resampling.LANCZOS)
            images = [PilBackend.resize(self, each, *how) for each in images]
            do_resize = False
        found: BatchFeature = super()._preprocess(images, do_resize=do_resize, **kwargs)
        return found

    def get_number_of_image_patches(
        self, height: int, width: int, images_kwargs: dict[str, Any] | None = None
    ) -> int:
        """Patches of an image of this height and width."""
        if self.layout == "dynamic":
            return int(super().get_number_of_image_patches(height, width, images_kwargs))
        return (IMAGE_SIZE.height // self.patch_size) * (IMAGE_SIZE.width // self.patch_size)


@verifying
class MobilintGotOcr2ImageProcessor(GotOcr2ImageProcessorPil):
    """The image processor of packages that cut images into tiles."""

    layout = TILES


@verifying
class MobilintSmolVLMImageProcessor(SmolVLMImageProcessorPil):
    """The image processor of packages that cut images into as many tiles as they fill."""

    layout = TILES

    def preprocess(self, images: Any, **kwargs: Any) -> BatchFeature:
        """Tiles without a mask: all their pixels are real, and tiles that fill up are zeros."""
        found: BatchFeature = super().preprocess(images, **kwargs)
        found.pop("pixel_attention_mask", None)
        return found


IMAGE_PROCESSORS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        MobilintQwen2VLImageProcessor,
        MobilintGotOcr2ImageProcessor,
        MobilintSmolVLMImageProcessor,
    )
}
"""The image processors of packages, by the names that their settings say."""


class VideoKwargs(VideosKwargs, total=False):  # type: ignore[call-arg]
    """What may be asked of videos beside what transformers knows."""

    min_frames: int
    max_frames: int
    min_pixels: int
    max_pixels: int


FRAMES = ("fps", "num_frames", "min_frames", "max_frames")
"""Which frames of files are taken."""

PIXELS = ("min_pixels", "max_pixels")
"""Of a frame."""


class MobilintQwen2VLVideoProcessor:
    """Qwen2-VL's video processor without torchvision: PyAV decodes, and Pillow resizes.

    Args:
        images: whose settings it shares, or that has those for videos.
        facts: of the family's processor, see :meth:`Processor.facts`.
    """

    valid_kwargs = VideoKwargs

    def __init__(
        self, images: MobilintQwen2VLImageProcessor, facts: Mapping[str, Any] | None = None
    ) -> None:
        settings = VisualSettings.model_validate(
            {name: value for name, value in images.to_dict().items() if value is not None}
        )
        sizes = {n: getattr(images, n) for n in ("patch_size", "merge_size", "temporal_patch_size")}
        bounds = {"min_pixels": 1, "max_pixels": 1 << 31, "max_patches": ANY_SIDE}
        fixed = (IMAGE_SIZE.height, IMAGE_SIZE.width)
        meta = {**sizes, **bounds, "layout": images.layout, "image_size": fixed, **(facts or {})}
        meta["tokens_per_second"] = 1  # the pace of a video then is in seconds
        self.merge_size = images.merge_size
        self.temporal_patch_size = images.temporal_patch_size
        self._preprocess = VideoPreprocessor.of(meta, settings.videos)

    def __call__(
        self,
        videos: Any,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Videos as the model reads them.

        Args:
            videos: paths of files, or frames.
            return_tensors: as in transformers.
            kwargs: what is asked of files and frames, by the names of :class:`Video`.

        Raises:
            VideoError: see :class:`VideoPreprocessor`.
        """
        visuals = [self._preprocess(_video(each, kwargs)) for each in make_batched_videos(videos)]
        slices = [v.slice(index) for v in visuals for index in range(v.grid.frames)]
        grids = [visual.grid.patches(self.merge_size) for visual in visuals]
        data = {
            "pixel_values_videos": np.concatenate(slices),
            "video_grid_thw": np.array(grids),
            "second_per_grid_ts": np.array([v.grid.pace for v in visuals], np.float32),
        }
        found = BatchFeature(data, tensor_type=return_tensors)
        if kwargs.get("return_metadata"):
            time = self.temporal_patch_size
            found["video_metadata"] = [_metadata(visual.moments, time) for visual in visuals]
        return found


def _metadata(moments: tuple[float, ...], time: int) -> VideoMetadata:
    """What tells transformers' processors when slices were taken: frames, one a second."""
    frames = np.repeat(moments, time)
    return VideoMetadata(total_num_frames=len(frames), fps=1.0, frames_indices=frames)


def _video(source: Any, asked: dict[str, Any]) -> Video:
    if isinstance(source, str):
        return Video(source, **{name: asked.get(name) for name in (*FRAMES, *PIXELS)})
    frames = source if isinstance(source, (list, tuple)) else np.asarray(source)
    if isinstance(frames, np.ndarray) and frames.ndim == 4 and frames.shape[3] != COLORS:
        frames = frames.transpose(0, 2, 3, 1)  # colors first, as tensors have them
    return Video(list(frames), **{name: asked.get(name) for name in PIXELS})


def processor_class(kind: Processor) -> type[Any]:
    """Tokenizer and processor of images and videos of a family's packages."""
    whole, name = kind.whole_class, kind.package_classes["processor_class"]

    def create(
        self: Any,
        image_processor: Any,
        tokenizer: Any,
        chat_template: str | None = None,
    ) -> None:
        chat_template = chat_template or tokenizer.chat_template
        own = {} if kind.tokens is None else {kind.tokens: getattr(image_processor, kind.tokens)}
        whole.__init__(
            self,
            image_processor,
            tokenizer,
            video_processor=None,
            chat_template=chat_template,
            **own,
        )

    facts: dict[str, Any] = {"__module__": __name__, "__init__": create}
    if kind.shown == "unseen":
        facts["video_processor"] = NoVideos()
    else:
        facts["video_processor"] = property(
            lambda self: MobilintQwen2VLVideoProcessor(self.image_processor, kind.facts())
        )
    return verifying(type(name, (whole,), facts))
