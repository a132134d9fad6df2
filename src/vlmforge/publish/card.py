"""The model card: what a package was made of, and how, as far as it is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlmforge.formats.package import Package
from vlmforge.hub.names import REPO, PackageId
from vlmforge.inspection.programs import program_facts
from vlmforge.publish.figures import shown_figures
from vlmforge.publish.markdown import fenced, plain, table
from vlmforge.publish.settings import configurations, settings_table, weight_kinds
from vlmforge.signing.package import signature_facts

MARK = "<!-- Written by vlmforge push, which replaces it; without this line it is yours. -->"
"""By this line a card is told from one that somebody wrote."""

RUN = """\
from vlmforge import Conversation, Session

conversation = Conversation(Session.open("{name}"))
content = [{content}]
print(conversation.generate([{{"role": "user", "content": content}}]).text)
"""

TRANSFORMERS = """\
from transformers import pipeline

import vlmforge.integrations.transformers

ask = pipeline("{task}", model="{repo}"{revision})
"""


def base_model(package: Package) -> str | None:
    """The original's id on the Hub; None where it was compiled from a directory.

    The name of a directory has no slash, so that one with a slash is an id.
    """
    model = package.text.meta.get("model")
    return model if isinstance(model, str) and REPO.fullmatch(model) else None


def model_card(
    package: Package,
    target: PackageId,
    sizes: Mapping[str, int],
    license_: Mapping[str, str],
    figures: Mapping[str, float] | None = None,
) -> str:
    """The card of a package.

    Args:
        package: it.
        target: where it is uploaded to.
        sizes: bytes of each of its files.
        license_: of the original: what its card has of ``license``, ``license_name`` and
            ``license_link``.
        figures: of an evaluation.
    """
    from huggingface_hub import ModelCardData

    programs = {"language": package.text} | ({"vision": package.vision} if package.vision else {})
    facts = {name: program_facts(program) for name, program in programs.items()}
    original = base_model(package)
    fields: dict[str, Any] = {
        **license_,
        "library_name": "vlmforge",
        "base_model": original,
        "base_model_relation": "quantized" if original else None,
        "pipeline_tag": _task(package),
        "tags": ["vlmforge", "quantized", *weight_kinds(facts)],
    }
    parts = [
        f"---\n{ModelCardData(**fields).to_yaml()}\n---\n",
        f"{MARK}\n",
        f"# {plain(target.repo.partition('/')[2])}\n",
        _origin(package, sizes),
        f"## Settings\n\n{settings_table(facts)}",
        *configurations(facts),
        *([] if figures is None else [_evaluation(figures)]),
        _running(package, target),
    ]
    return "\n".join(parts)


def _task(package: Package) -> str:
    return "text-generation" if package.vision is None else "image-text-to-text"


def _origin(package: Package, sizes: Mapping[str, int]) -> str:
    meta, signed = package.text.meta, signature_facts(package.dir, verified=False)
    rows = [
        ("model", meta.get("model", "unknown")),
        ("its weights and configuration, SHA-256", meta.get("model_fingerprint")),
        ("architecture", ", ".join(map(str, package.config.get("architectures") or ["unknown"]))),
        ("this package, SHA-256 of its programs and embedding", package.fingerprint),
        *([("signed with the key, SHA-256", signed["key"])] if signed else []),
        ("size on disk", f"{sum(sizes.values()) / 1e6:.1f} MB"),
    ]
    what = f"{plain(meta.get('model', 'A model'))}, compiled with vlmforge into static integers."
    return f"{what}\nIt runs on any CPU, with the same bits on each.\n\n{table(('', ''), rows)}"


def _evaluation(figures: Mapping[str, float]) -> str:
    said = "What `vlmforge eval PACKAGE --json` has found, as whoever uploaded the package says."
    return f"## Figures\n\n{said}\n\n{table(('', ''), shown_figures(figures))}"


def _running(package: Package, target: PackageId) -> str:
    sees = package.vision is not None
    text = '{"type": "text", "text": "What is on the table?"}'
    content = f'{{"type": "image", "image": "photo.jpg"}}, {text}' if sees else text
    image = " --image photo.jpg" if sees else ""
    revision = f', revision="{target.revision}"' if target.revision else ""
    asked = TRANSFORMERS.format(task=_task(package), repo=target.repo, revision=revision)
    return (
        "## Run it\n\n"
        + fenced("sh", f"pip install 'vlmforge[hub]'\nvlmforge chat {target}{image}")
        + "\nFrom Python:\n\n"
        + fenced("python", RUN.format(name=target, content=content))
        + "\nWith Hugging Face Transformers (`pip install 'vlmforge[compile]'`):\n\n"
        + fenced("python", asked)
    )
