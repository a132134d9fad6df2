"""With a key, Hugging Face's classes open nothing but what was signed with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
    AutoTokenizer,
    pipeline,
)
from transformers.models.auto.image_processing_auto import AutoImageProcessor

import vlmforge.integrations.transformers as own
from tests.hub.conftest import contents, hub
from tests.hub.standin import StandIn
from tests.signing.keys import KeyFiles, keys, package, write_keys
from vlmforge.errors import PackageError, SignatureError

__all__ = ["hub", "keys", "package"]

CLASSES = [
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
    AutoTokenizer,
    own.MobilintQwen2VLConfig,
    own.MobilintQwen2VLForConditionalGeneration,
    own.MobilintQwen2VLImageProcessor,
    own.MobilintQwen2VLProcessor,
]


@pytest.mark.parametrize("kind", CLASSES)
def test_what_is_signed_opens_and_what_is_altered_does_not(
    package: Path, keys: KeyFiles, tmp_path: Path, kind: Any
) -> None:
    opened = kind.from_pretrained(package, verify_key=keys.public)
    assert type(opened) is type(kind.from_pretrained(pretrained_model_name_or_path=str(package)))
    other = write_keys(tmp_path, "other")
    with pytest.raises(SignatureError, match="not of the key"):
        kind.from_pretrained(package, verify_key=other.public)
    settings = package / "tokenizer_config.json"
    settings.write_text(settings.read_text() + " ")
    with pytest.raises(SignatureError, match=r"'tokenizer_config\.json' altered"):
        kind.from_pretrained(package, verify_key=str(keys.public))
    assert kind.from_pretrained(package)


@pytest.mark.parametrize(
    "kind", [AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer]
)
def test_with_a_key_no_other_model_opens(
    tiny_checkpoint: Path, tiny_decoder: Path, keys: KeyFiles, kind: Any
) -> None:
    for model in (tiny_checkpoint, tiny_decoder):
        with pytest.raises(SignatureError, match="not signed"):
            kind.from_pretrained(model, verify_key=keys.public)
    with pytest.raises(PackageError, match="does not exist"):
        kind.from_pretrained("no-such-directory", verify_key=keys.public)


def test_code_of_what_is_not_signed_never_runs(package: Path, keys: KeyFiles) -> None:
    config = package / "config.json"
    config.write_text(config.read_text().replace("{", '{"auto_map": {"AutoConfig": "a.B"},', 1))
    (package / "a.py").write_text(f"open({str(package / 'ran')!r}, 'w')\n")
    with pytest.raises(SignatureError):
        AutoConfig.from_pretrained(package, verify_key=keys.public, trust_remote_code=True)
    assert not (package / "ran").exists()


def test_a_pipeline(package: Path, keys: KeyFiles, tmp_path: Path) -> None:
    verified: dict[str, Any] = {"verify_key": keys.public}
    ask = pipeline("image-text-to-text", model=str(package), model_kwargs=verified)
    message = {"role": "user", "content": [{"type": "text", "text": "Why?"}]}
    assert ask(text=[message], max_new_tokens=2)
    with pytest.raises(SignatureError):
        verified = {"verify_key": write_keys(tmp_path, "other").public}
        pipeline("image-text-to-text", model=str(package), model_kwargs=verified)


def test_by_a_name_on_the_hub(hub: StandIn, package: Path, keys: KeyFiles, tmp_path: Path) -> None:
    hub.add("someone/tiny", contents(package))
    for kind in (AutoProcessor, AutoModelForImageTextToText):
        assert kind.from_pretrained("someone/tiny", verify_key=keys.public, revision="main")
        with pytest.raises(SignatureError):
            other = write_keys(tmp_path, "other").public
            kind.from_pretrained("someone/tiny", verify_key=other, revision="main")
