"""Directories of one user's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vlmforge.errors import RotationError
from vlmforge.formats.private import private_directory


def test_missing_directories_are_created_for_the_user_alone(tmp_path: Path) -> None:
    path = private_directory(tmp_path / "qbcompiler" / "spinWeight")
    for made in (path, path.parent):
        assert made.stat().st_mode & 0o777 == 0o700
    assert private_directory(path) == path


def test_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    path = private_directory(tmp_path / "spinWeight")
    for mode in (0o755, 0o770, 0o701):
        path.chmod(mode)
        with pytest.raises(RotationError, match="is open to other users") as caught:
            private_directory(path)
        assert caught.value.where == path


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    private_directory(tmp_path / "target")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(RotationError, match="is not a directory"):
        private_directory(tmp_path / "link")


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RotationError, match="is not a directory"):
        private_directory(tmp_path / "file")
    with pytest.raises(RotationError, match="cannot be created"):
        private_directory(tmp_path / "file" / "below")


def test_a_parent_every_user_can_write_is_refused_unless_sticky(tmp_path: Path) -> None:
    parent = tmp_path / "shared"
    parent.mkdir()
    parent.chmod(0o777)
    with pytest.raises(RotationError, match="can be written by every user"):
        private_directory(parent / "spinWeight")
    parent.chmod(0o1777)
    private_directory(parent / "spinWeight")


def test_a_parent_its_group_can_write_is_refused_unless_sticky(tmp_path: Path) -> None:
    parent = tmp_path / "team"
    parent.mkdir()
    parent.chmod(0o775)
    with pytest.raises(RotationError, match="can be written by its group") as caught:
        private_directory(parent / "below" / "spinWeight")
    assert caught.value.mend is not None
    assert f"chmod go-w {parent}" in caught.value.mend
    assert not (parent / "below").exists()
    parent.chmod(0o1775)
    private_directory(parent / "below" / "spinWeight")


@pytest.mark.parametrize("relative", [True, False])
def test_where_a_link_leads_must_be_safe_as_well(tmp_path: Path, relative: bool) -> None:
    shared = tmp_path / "shared"
    (shared / "target").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to("shared/target" if relative else shared / "target")
    assert private_directory(link / "spinWeight") == link / "spinWeight"
    shared.chmod(0o777)
    with pytest.raises(RotationError, match="can be written by every user") as caught:
        private_directory(link / "spinWeight")
    assert caught.value.where == shared


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    for here, there in (("a", "b"), ("b", "a")):
        (tmp_path / here).symlink_to(there)
    with pytest.raises(RotationError, match="too many symbolic links"):
        private_directory(tmp_path / "a" / "spinWeight")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    path = private_directory(tmp_path / "qbcompiler" / "spinWeight")
    for owned in (path, path.parent):
        os.chown(owned, 1234, -1)
        with pytest.raises(RotationError, match="belongs to another user"):
            private_directory(path)
        os.chown(owned, 0, -1)
