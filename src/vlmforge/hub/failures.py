"""Failures of the Hub and of the way to it, in words."""

from __future__ import annotations

from dataclasses import dataclass

from vlmforge.errors import VlmforgeError

LOGIN = "`hf auth login`, or set HF_TOKEN"


@dataclass(frozen=True)
class Sought:
    """What is looked for on the Hub.

    Attributes:
        noun: ``"model"`` or ``"package"``.
        name: as the user gave it.
        revision: of it, None for the default branch.
        error: the class of what is raised.
    """

    noun: str
    name: str
    revision: str | None
    error: type[VlmforgeError]

    def failure(self, error: Exception) -> VlmforgeError:
        """Why it cannot be had, given what the Hub's library raised."""
        what, mend = _explained(self, error)
        return self.error(what, where=self.name, mend=mend)


def status_of(error: BaseException | None) -> int | None:
    """The status with which the Hub answered, None where it did not answer."""
    return getattr(getattr(error, "response", None), "status_code", None)


def _explained(sought: Sought, error: Exception) -> tuple[str, str]:
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    noun, local = sought.noun, f"give the directory of a downloaded {sought.noun}"
    answered = status_of(error.__cause__)
    if isinstance(error, LocalEntryNotFoundError) and answered is not None:
        return _answered(sought, answered)
    if isinstance(error, GatedRepoError):
        return f"the {noun} is gated", f"accept its terms on the Hub, then {LOGIN}"
    if isinstance(error, RevisionNotFoundError):
        what = f"the {noun} has no revision {sought.revision}"
        return what, "name a branch, tag or commit of it"
    if isinstance(error, RepositoryNotFoundError):
        what = f"there is no such directory, and no such {noun} on the Hub"
        return what, f"correct the name; for a private {noun}, {LOGIN}"
    if isinstance(error, LocalEntryNotFoundError):
        offline = isinstance(error.__cause__, OfflineModeIsEnabled)
        why = "HF_HUB_OFFLINE is set" if offline else "the Hub cannot be reached"
        mend = f"{'unset it' if offline else 'connect to the network'}, or {local}"
        return f"there is no such directory, {why}, and the {noun} is not wholly cached", mend
    if (status := status_of(error)) is not None:
        return _answered(sought, status)
    # The Hub's client lets errors of its HTTP library through.
    return f"the {noun} cannot be downloaded: {error}", f"try again, or {local}"


def _answered(sought: Sought, status: int) -> tuple[str, str]:
    """What an HTTP status means that the Hub's library has no error for."""
    if status == 401:
        return "the Hub does not accept the token", f"{LOGIN} to another"
    if status == 403:
        return f"the token may not read the {sought.noun}", f"{LOGIN} to one that may"
    what = f"the {sought.noun} cannot be downloaded: the Hub answers {status}"
    return what, f"try again later, or give the directory of a downloaded {sought.noun}"
