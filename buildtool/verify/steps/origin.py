"""Are the wheels what they say they are? Their bytes against RECORD, provenance and signature, before anything runs."""

from __future__ import annotations

from pathlib import Path

from buildtool.errors import InvalidInputError
from buildtool.verify.findings import Findings
from buildtool.verify.model import Options, Verdict
from buildtool.wheel.about import About, about_wheel

TITLE = "wheels are what they say"


def check(wheels: tuple[Path, ...], options: Options) -> Findings:
    """Check every wheel against itself, and against the public key of the options.

    Raises:
        IntegrityError: a wheel was changed, or is not signed with the key.
        InvalidInputError: the key is none, or the runtime, which pip would find elsewhere, is not among the wheels.
        LockFileError: a lock inside was edited.
        MissingToolError: a signature cannot be checked here.
    """
    key = None
    if options.key is not None:
        from buildtool.wheel.signing import read_public_key

        key = read_public_key(Path(options.key))
        _require_runtime(wheels)
    found, unlisted = [], []
    for path in wheels:
        try:
            found.append(about_wheel(path, key))
        except InvalidInputError as error:  # no RECORD: pip says so better, in the next step
            if key is not None:
                raise
            unlisted.append(error.what)
    files = sum(one.wheel.files for one in found)
    verdict: Verdict = "not-proved" if unlisted else "passed"
    summary = unlisted[0] if unlisted else f"{files} files as listed; {_signatures(found)}"
    return Findings(verdict=verdict, summary=summary, evidence=(*unlisted, *(_words(one) for one in found)))


def _require_runtime(wheels: tuple[Path, ...]) -> None:
    """Refuse backends alone: the runtime that pip finds for them would run without its signature being checked."""
    if any(path.name.startswith("gpubuild_llama_") for path in wheels) and not any(
        path.name.startswith("gpubuild_llama-") for path in wheels
    ):
        what = "The runtime is not among the wheels, so its signature cannot be checked."
        raise InvalidInputError(what, hint="Name its wheel too, or the directory that holds both.")


def _signatures(found: list[About]) -> str:
    kinds = {one.signature for one in found}
    if kinds == {"valid"}:
        return f"signed by {found[0].signers[0][:16]}"
    return "signatures not checked (--key)" if "not-checked" in kinds else "not signed"


def _words(about: About) -> str:
    made = f"plan {about.wheel.plan[:16]}" if about.wheel.plan else "no plan inside"
    return f"{about.wheel.filename}: {made}, signature {about.signature}"
