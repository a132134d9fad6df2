"""Names on the Hub are told from paths."""

from __future__ import annotations

import pytest

from vlmforge.hub.names import PackageId


@pytest.mark.parametrize(
    ("text", "repo", "revision"),
    [
        ("owner/name", "owner/name", None),
        ("Owner-1/na.me_2", "Owner-1/na.me_2", None),
        ("owner/name@v1.0", "owner/name", "v1.0"),
        ("owner/name@refs/pr/1", "owner/name", "refs/pr/1"),
    ],
)
def test_names_of_packages(text: str, repo: str, revision: str | None) -> None:
    package = PackageId.of(text)
    assert package == PackageId(repo, revision) and str(package) == text


@pytest.mark.parametrize(
    "text",
    ["name", "a/b/c", "./a/b", "../b", "a/..", "~/b", "a/b@", "a/b@../../c", "a/b@-x", "a b/c",
     "a/b@x y", "a/b\n", "ä/b", "", "/b", "a/", "a\\b/c", "a/b@c`d"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    assert PackageId.of(text) is None
