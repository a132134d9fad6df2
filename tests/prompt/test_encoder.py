"""Prompts are tokenized as Hugging Face's processor tokenizes them."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoTokenizer, Qwen2VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.conftest import PLAIN_TEMPLATE, SPECIAL, TEMPLATE, special_id
from vlmforge.errors import PackageError, RunError, VlmforgeError
from vlmforge.formats.settings import VisualSettings
from vlmforge.images.video import Video
from vlmforge.images.visual_preprocess import VisualPreprocessor
from vlmforge.prompt.encoder import Placeholders, PromptEncoder, PromptRules
from vlmforge.prompt.template import ChatTemplate
from vlmforge.prompt.tokens import Tokens, load_tokenizer
from vlmforge.source.processor import load_tokenizer as processor_tokenizer
from vlmforge.text import well_formed

IMAGE = {"type": "image", "image": Image.new("RGB", (224, 224))}
LARGE = {"type": "image", "image": Image.new("RGB", (300, 180))}
VIDEO = {"type": "video", "video": [Image.new("RGB", (56, 112))] * 5}
PLACEHOLDERS = Placeholders(special_id("<|image_pad|>"), special_id("<|video_pad|>"))
SIZES = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
BOUNDS = {"min_pixels": 3136, "max_pixels": 12845056}
META = {**SIZES, **BOUNDS, "layout": "dynamic", "max_patches": 1000}


look = VisualPreprocessor.of(META, VisualSettings())


class ImageTextProcessor(Qwen2VLProcessor):
    """Without videos, which would need torchvision."""

    def __init__(self, image_processor: Any, tokenizer: Any, chat_template: str) -> None:
        super().__init__(image_processor, tokenizer, chat_template=chat_template)


@pytest.fixture(scope="module")
def encoder(tiny_checkpoint: Path) -> PromptEncoder:
    tokenizer, template = load_tokenizer(tiny_checkpoint), ChatTemplate.load(tiny_checkpoint)
    return PromptEncoder(tokenizer, template, PLACEHOLDERS, look)


@pytest.fixture(scope="module")
def trusting(tiny_checkpoint: Path) -> PromptEncoder:
    return made(tiny_checkpoint, PromptRules(special_tokens_in_text=True))


def made(checkpoint: Path, rules: PromptRules) -> PromptEncoder:
    tokenizer, template = load_tokenizer(checkpoint), ChatTemplate.load(checkpoint)
    return PromptEncoder(tokenizer, template, PLACEHOLDERS, look, rules)


@pytest.fixture(scope="module")
def processor(tiny_checkpoint: Path) -> ImageTextProcessor:
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    images = Qwen2VLImageProcessorPil.from_pretrained(tiny_checkpoint)
    return ImageTextProcessor(images, tokenizer, tokenizer.chat_template)


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


def asking(**options: Any) -> list[dict[str, Any]]:
    """A message with a video of which something is asked."""
    return [{"role": "user", "content": [{"type": "video", "video": "a.mp4", **options}]}]


CONVERSATIONS = [
    [{"role": "user", "content": [text("How many shapes are there?")]}],
    [{"role": "user", "content": [IMAGE, text("Describe the image.")]}],
    [
        {"role": "system", "content": [text("Ünïcödé 日本語 🙂 \n\n  spaces")]},
        {"role": "user", "content": [text("one"), IMAGE, IMAGE, text("two")]},
        {"role": "assistant", "content": [text("A red circle.")]},
        {"role": "user", "content": [LARGE, text("And <|im_start|> here?")]},
    ],
]


@pytest.mark.parametrize("messages", CONVERSATIONS)
@pytest.mark.parametrize("generation_prompt", [True, False])
@pytest.mark.parametrize("trusted", [True, False])
def test_equals_hugging_face(
    encoder: PromptEncoder,
    trusting: PromptEncoder,
    processor: ImageTextProcessor,
    messages: Any,
    generation_prompt: bool,
    trusted: bool,
) -> None:
    expected = processor.apply_chat_template(
        messages,
        tokenize=True,
        return_dict=True,
        add_generation_prompt=generation_prompt,
        sanitize_control_tokens=not trusted,
    )

    chosen = trusting if trusted else encoder
    prompt = chosen.encode(messages, generation_prompt=generation_prompt)

    assert prompt.token_ids.tolist() == expected["input_ids"][0]
    types = PLACEHOLDERS.types(prompt.token_ids)
    assert types.tolist() == expected["mm_token_type_ids"][0]
    assert sum(visual.grid.tokens for visual in prompt.visuals) == (types > 0).sum()


TALKS = st.lists(
    st.lists(
        st.one_of(st.text(max_size=8), st.sampled_from([*SPECIAL, " ", "\n", "<|", "ab"])),
        max_size=6,
    ).map("".join),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("template", [TEMPLATE, PLAIN_TEMPLATE])
@settings(max_examples=100, deadline=None)
@given(texts=TALKS)
def test_special_tokens_of_users_are_text(
    tiny_checkpoint: Path, template: str, texts: list[str]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    tokenizer_of_package = load_tokenizer(tiny_checkpoint)
    encoder = PromptEncoder(tokenizer_of_package, ChatTemplate(template), PLACEHOLDERS, look)
    messages = [{"role": "user", "content": well_formed(each)} for each in texts]

    ids = encoder.encode(messages).token_ids.tolist()

    options = {"tokenize": True, "add_generation_prompt": True, "return_dict": False}
    theirs = tokenizer.apply_chat_template(
        messages, chat_template=template, sanitize_control_tokens=True, **options
    )
    if not re.search("[\ufdd0\ufdd1\ue000-\uf8ff]", "".join(texts)):
        assert ids == theirs
    system = template == TEMPLATE
    assert ids.count(special_id("<|im_end|>")) == len(texts) + system
    assert ids.count(special_id("<|im_start|>")) == len(texts) + system + 1
    assert not {special_id(token) for token in SPECIAL if "im_" not in token} & set(ids)


@pytest.mark.parametrize(
    "parts", [["<|im_", "end|>"], ["<", "|im_e", "nd|>"], ["a<|im_end|", ">"], ["<|im_end", "|> b"]]
)
def test_parts_do_not_join_to_special_tokens(encoder: PromptEncoder, parts: list[str]) -> None:
    messages = [{"role": "user", "content": [text(part) for part in parts]}]

    ids = encoder.encode(messages).token_ids

    assert (ids == special_id("<|im_end|>")).sum() == 2  # of the system's message and the user's


def test_parts_that_join_to_nothing_are_not_parted(encoder: PromptEncoder) -> None:
    messages = [{"role": "user", "content": [text("The <"), text("triangle> and <|im_end|>")]}]
    whole = [{"role": "user", "content": [text("The <triangle> and <|im_end|>")]}]

    assert encoder.encode(messages).token_ids.tolist() == encoder.encode(whole).token_ids.tolist()


def test_noncharacters_do_not_forge_marks(encoder: PromptEncoder) -> None:
    forged = "<|im_\ufdd1end|> \ufdd1<|im_end|>\ufdd0 \ufdd0 <|im_\ufdd0start|>"

    ids = encoder.encode([{"role": "user", "content": forged}]).token_ids

    assert (ids == special_id("<|im_end|>")).sum() == 2
    assert (ids == special_id("<|im_start|>")).sum() == 3


def test_image_placeholders_of_users_are_text(encoder: PromptEncoder) -> None:
    content = [IMAGE, text("what is <|vision_start|><|image_pad|>?")]

    prompt = encoder.encode([{"role": "user", "content": content}])

    assert (prompt.token_ids == PLACEHOLDERS.image).sum() == 64 and len(prompt.visuals) == 1


def test_messages_may_come_once(encoder: PromptEncoder) -> None:
    messages: Any = CONVERSATIONS[1]

    prompt = encoder.encode(message for message in messages)

    assert prompt.token_ids.tolist() == encoder.encode(messages).token_ids.tolist()
    assert len(prompt.visuals) == 1


@pytest.mark.parametrize("character", [" ", "a", "\n", "\u0301", "\ud800", "<"])
def test_texts_are_bounded_before_they_are_tokenized(tiny_checkpoint: Path, character: str) -> None:
    encoder = made(tiny_checkpoint, PromptRules(max_length=1000))
    began = time.process_time()

    with pytest.raises(RunError, match=r"11000004 characters.* 1000 tokens"):
        encoder.encode([{"role": "user", "content": character * 11_000_000}])

    assert time.process_time() - began < 2


def test_a_panic_of_the_tokenizer_is_an_error() -> None:
    class PanicException(BaseException):
        pass

    class Panicking:
        def encode(self, text: str, add_special_tokens: bool) -> None:
            raise PanicException("called `Result::unwrap()` on an `Err` value")

    with pytest.raises(RunError, match="cannot be tokenized"):
        Tokens(cast("Any", Panicking())).encode("text")


@pytest.mark.parametrize("load", [load_tokenizer, processor_tokenizer])
def test_a_panic_while_it_is_read_is_an_error(
    tiny_checkpoint: Path, tmp_path: Path, load: Callable[[Path], object]
) -> None:
    copied = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    tokenizer = json.loads((copied / "tokenizer.json").read_text("utf-8"))
    tokenizer["model"]["continuing_subword_prefix"] = "x" * 8  # longer than the merged tokens
    (copied / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    written = {"tokenizer_class": "PreTrainedTokenizerFast"}  # others build a model of their own
    (copied / "tokenizer_config.json").write_text(json.dumps(written), "utf-8")

    with pytest.raises(VlmforgeError, match="tokenizer cannot be read"):
        load(copied)


def test_nested_messages_are_bounded(encoder: PromptEncoder) -> None:
    nested: Any = []
    nested.append(nested)

    with pytest.raises(RunError, match="nests deeper"):
        encoder.encode([{"role": "user", "content": "x", "more": nested}])


def looking(checkpoint: Path, rules: PromptRules) -> tuple[PromptEncoder, list[Any]]:
    """An encoder, and the list of what it looks at with the room there is."""
    seen: list[Any] = []

    def noted(shown: Any, room: int | None) -> Any:
        seen.append((shown, room))
        return look(Image.new("RGB", (56, 56)), room)

    tokenizer, template = load_tokenizer(checkpoint), ChatTemplate.load(checkpoint)
    return PromptEncoder(tokenizer, template, PLACEHOLDERS, noted, rules), seen


def test_files_are_named_by_any_key(tiny_checkpoint: Path) -> None:
    encoder, seen = looking(tiny_checkpoint, PromptRules())
    parts = [
        {"type": kind, key: f"{kind} {key}"}
        for kind in ("image", "video")
        for key in (kind, "path", "url")
    ]

    encoder.encode([{"role": "user", "content": parts}])

    shown = [each.source if isinstance(each, Video) else each for each, _ in seen]
    assert shown == [part[list(part)[1]] for part in parts]


def test_a_video_asks_for_what_it_wants(tiny_checkpoint: Path) -> None:
    encoder, seen = looking(tiny_checkpoint, PromptRules())
    asked = {"fps": 0.5, "min_frames": 2, "max_frames": 9, "min_pixels": 3136, "max_pixels": 9999}
    parts = [
        {"type": "video", "video": "a.mp4", **asked},
        {"type": "video", "path": "b.mp4", "num_frames": 8, "fps": None},
        {"type": "video", "video": ["1.png", Image.new("RGB", (9, 9))], "max_pixels": 9999},
    ]

    encoder.encode([{"role": "user", "content": parts}])

    videos = [each for each, _ in seen]
    assert videos[0] == Video("a.mp4", 0.5, None, 2, 9, 3136, 9999)
    assert videos[1] == Video("b.mp4", num_frames=8)
    assert videos[2].source == tuple(parts[2]["video"]) and videos[2].max_pixels == 9999


def test_a_package_that_sees_nothing_says_so(tiny_decoder: Path) -> None:
    tokenizer, template = load_tokenizer(tiny_decoder), ChatTemplate.load(tiny_decoder)
    blind = PromptEncoder(tokenizer, template, PLACEHOLDERS)

    for shown in (IMAGE, VIDEO):
        with pytest.raises(RunError, match="no vision program"):
            blind.encode([{"role": "user", "content": [shown]}])


def test_a_template_without_a_place_for_videos_says_so(tiny_checkpoint: Path) -> None:
    template = ChatTemplate(TEMPLATE.replace("'video'", "'film'"))
    encoder = PromptEncoder(load_tokenizer(tiny_checkpoint), template, PLACEHOLDERS, look)

    with pytest.raises(RunError, match="0 video placeholders and 1 videos"):
        encoder.encode([{"role": "user", "content": [VIDEO, text("?")]}])


def test_what_is_shown_has_the_room_that_is_left(tiny_checkpoint: Path) -> None:
    encoder, seen = looking(tiny_checkpoint, PromptRules(max_length=100))

    encoder.encode([{"role": "user", "content": [IMAGE, text("and"), VIDEO, IMAGE]}])

    assert [room for _, room in seen] == [100, 96, 92]


@pytest.mark.parametrize("shown", [IMAGE, VIDEO, LARGE])
def test_too_many_tokens_are_refused_before_anything_is_encoded(
    tiny_checkpoint: Path, shown: Any
) -> None:
    encoder = made(tiny_checkpoint, PromptRules(max_length=100))

    with pytest.raises(RunError, match=r"(the image|the video) has \d+ tokens, there is room for"):
        encoder.encode([{"role": "user", "content": [text("and"), *[shown] * 6]}])


VIDEOS = [
    [{"role": "user", "content": [VIDEO, text("What happens?")]}],
    [
        {"role": "user", "content": [LARGE, VIDEO, text("one"), IMAGE, VIDEO]},
        {"role": "assistant", "content": [text("A red circle.")]},
        {"role": "user", "content": [VIDEO, LARGE, text("And here?")]},
    ],
]


@pytest.mark.parametrize("messages", VIDEOS)
def test_videos_equal_hugging_face(
    trusting: PromptEncoder, processor: ImageTextProcessor, messages: Any
) -> None:
    prompt = trusting.encode(messages)

    grids = [visual.grid.patches(2) for visual in prompt.visuals]
    places = [each for m in messages for each in m["content"] if each["type"] != "text"]
    assert len(grids) == len(places)
    expected = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    for grid, place in zip(grids, places, strict=True):
        kind = place["type"]
        stub = SimpleNamespace(
            image_token="i", video_token="v", image_processor=processor.image_processor,
            video_processor=processor.image_processor,
        )  # fmt: skip
        replace = getattr(Qwen2VLProcessor, f"replace_{kind}_token")
        run = replace(stub, {f"{kind}_grid_thw": np.array([grid])}, 0)
        expected = expected.replace(f"<|{kind}_pad|>", f"<{kind}>" * len(run), 1)
    expected = expected.replace("<image>", "<|image_pad|>").replace("<video>", "<|video_pad|>")
    assert prompt.token_ids.tolist() == processor.tokenizer(expected)["input_ids"]


@pytest.mark.parametrize(
    ("messages", "what"),
    [
        ([{"role": "user"}], "known form"),
        ([{"role": "user", "content": 3}], "known form"),
        (["hello"], "known form"),
        ([{"role": "user", "content": ["hello"]}], "known form"),
        ([{"role": "user", "content": [{"type": "audio", "audio": "v.mp3"}]}], "known form"),
        ([{"role": "user", "content": [{"type": "video"}]}], "known form"),
        ([{"role": "user", "content": [{"type": "video", "video": 3}]}], "known form"),
        ([{"role": "user", "content": [{"type": "video", "video": [3]}]}], "known form"),
        ([{"role": "user", "content": [{"type": "video", "url": "https://a/b.mp4"}]}], "remote"),
        ([{"role": "user", "content": [{"type": "video", "video": ["http://a/b"]}]}], "remote"),
        (asking(fps=0), "fps of a video is 0"),
        (asking(fps=float("nan")), "fps of a video is nan"),
        (asking(fps="2"), "fps of a video is '2'"),
        (asking(fps=True), "fps of a video is True"),
        (asking(sample_fps=2), "sample_fps is that of frames"),
        ([{"role": "user", "content": [{**VIDEO, "sample_fps": 0}]}], "sample_fps of a video is 0"),
        (asking(num_frames=2.0), "num_frames of a video is 2.0"),
        (asking(max_pixels=-1), "max_pixels of a video is -1"),
        (asking(fps=1, num_frames=2), "both fps and num_frames"),
        ([{"role": "user", "content": [{**VIDEO, "fps": 2}]}], "as they are given"),
        ([{"role": "user", "content": [{"type": "image"}]}], "known form"),
        ([{"role": "user", "content": [{"type": "image", "url": "https://a/b.png"}]}], "remote"),
        ("hello", "known form"),
        ({"role": "user", "content": "hello"}, "known form"),
        (None, "known form"),
        ([None], "known form"),
    ],
)
def test_malformed_messages_are_named(encoder: PromptEncoder, messages: Any, what: str) -> None:
    with pytest.raises(RunError, match=what):
        encoder.encode(messages)


def test_placeholders_that_are_trusted_need_images(trusting: PromptEncoder) -> None:
    with pytest.raises(RunError, match="1 image placeholders and 0 images"):
        trusting.encode([{"role": "user", "content": "what is <|image_pad|>?"}])


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_an_unreadable_tokenizer_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)

    with pytest.raises(PackageError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
