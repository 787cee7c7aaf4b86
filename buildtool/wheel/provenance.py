"""How a wheel was made, as an in-toto statement with SLSA v1 provenance.

Inside the wheel the statement is about every file of it; beside a signed wheel it is about the wheel's own file. Both
say the same about the build. Times and machines are left out, so that the wheel stays reproducible.
"""

from __future__ import annotations

from buildtool.compat.model import Plan
from buildtool.wheel.content import Content, encode
from buildtool.wheel.sbom import pin_purl, source_purl

Json = dict[str, object]
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:gpubuild:compile:v1"
BUILDER = "urn:gpubuild:builder"


def statement(content: Content, clock: int) -> bytes:
    """Return the statement about every file of a wheel.

    Args:
        content: the wheel; its `files` are the subjects.
        clock: the SOURCE_DATE_EPOCH it was packed with, in seconds.
    """
    subjects = {name: sha256 for name, (sha256, _) in content.files.items()}
    return encode(about(subjects, predicate(content, clock)))


def about(subjects: dict[str, str], predicate_: object) -> Json:
    """Return a statement that says `predicate_` about files, given by name and sha256 (hex)."""
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in sorted(subjects.items())],
        "predicateType": PREDICATE,
        "predicate": predicate_,
    }


def predicate(content: Content, clock: int) -> Json:
    """Return the provenance itself: what was asked for, what went in, who did it."""
    plan = content.plan
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"plan": plan.digest(), "wheel": content.wheel.role, "tag": content.tag},
            "internalParameters": {"SOURCE_DATE_EPOCH": clock},
            "resolvedDependencies": [*_source(plan), *_patches(plan), *_toolkit(plan), *_image(plan)],
        },
        "runDetails": {"builder": {"id": BUILDER, "version": dict(sorted(content.tools.items()))}},
    }


def _source(plan: Plan) -> list[Json]:
    source = plan.source
    uri = source_purl(source, plan.recipe)
    sha256 = source.pin.sha256 if source.pin is not None else source.sha256
    digest = {"gitCommit": source.ref} if source.kind == "git" else {"sha256": sha256} if sha256 else {}
    return [{"name": source.name, **({"uri": uri} if uri else {}), **({"digest": digest} if digest else {})}]


def _patches(plan: Plan) -> list[Json]:
    return [{"name": f"{one.name}.patch", "digest": {"sha256": one.sha256}} for one in plan.patches]


def _toolkit(plan: Plan) -> list[Json]:
    return [
        {"name": pin.filename, "uri": pin_purl(toolkit, pin), "digest": {"sha256": pin.sha256}}
        for toolkit in (plan.toolkit, plan.base or None)
        if toolkit is not None
        for pin in toolkit.pins
    ]


def _image(plan: Plan) -> list[Json]:
    if plan.inside is None:
        return []
    return [{"name": plan.inside.name, "digest": {"sha256": plan.inside.id.removeprefix("sha256:")}}]
