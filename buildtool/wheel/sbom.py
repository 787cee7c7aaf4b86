"""The bill of materials of a wheel: CycloneDX 1.6, in ``.dist-info/sboms/`` as PEP 770 says.

What is inside (llama.cpp, the code in its tree, its patches, vendor libraries), what it needs to run (its requirements)
and, out of its scope, what built it (toolkit packages, compiler, tools). Nothing in it depends on where or when the
wheel was made.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from urllib.parse import quote

from packaging.requirements import Requirement

from buildtool.compat.model import Pin, PlanPatch, PlanSource, PlanToolkit
from buildtool.runtime import VendorData, VendorLibrary
from buildtool.wheel.content import Content, encode, pypi_purl

Json = dict[str, object]
SPEC_VERSION = "1.6"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:gpubuild:wheel")
TOOLKIT_NAMES = {"cuda": "CUDA Toolkit", "rocm": "ROCm", "vulkan": "Vulkan SDK", "host": "GNU C Library"}
COMPILER_NAMES = {"gcc": "GCC", "clang": "Clang", "msvc": "MSVC"}


def sbom(content: Content) -> bytes:
    """Return the bill of materials of a wheel."""
    inside = list(_inside(content))
    needed = [_required(text) for text in content.wheel.requires]
    builders = list(_builders(content))
    own = content.purl
    document: Json = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, _identity(content))}",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [_tool(name, version) for name, version in sorted(content.tools.items())]},
            "component": _own(content),
        },
        "components": [*inside, *needed, *builders],
        "dependencies": [
            {"ref": own, "dependsOn": sorted(str(one["bom-ref"]) for one in (*inside, *needed))},
            *({"ref": one["bom-ref"]} for one in (*inside, *needed, *builders)),
        ],
    }
    return encode(document)


def _identity(content: Content) -> str:
    """Return what tells two wheels apart: plan, role, tag, and every file in it."""
    files = [f"{name} {sha256}" for name, (sha256, _) in sorted(content.files.items())]
    return "\n".join([content.plan.digest(), content.wheel.role, content.tag, *files])


def _own(content: Content) -> Json:
    targets = [_property("target", target) for target in content.plan.targets]
    return {
        "type": "library",
        "bom-ref": content.purl,
        "name": content.wheel.distribution,
        "version": content.wheel.version,
        "purl": content.purl,
        "properties": [
            _property("plan", content.plan.digest()),
            _property("backend", content.plan.backend),
            _property("profile", content.plan.profile),
            _property("platform-tag", content.tag),
            *targets,
        ],
    }


def _inside(content: Content) -> Iterator[Json]:
    yield source_component(content.plan.source, content.plan.patches, content.plan.recipe)
    for patch in content.plan.patches:
        yield {
            "type": "file",
            "bom-ref": f"patch:{patch.name}",
            "name": f"{patch.name}.patch",
            "description": f"source patch for {', '.join(patch.targets)}",
            "hashes": _hashes(patch.sha256),
        }
    for code in content.embedded:
        yield {
            "type": "library",
            "bom-ref": f"embedded:{code.name}",
            "name": code.name,
            **({"version": code.version} if code.version else {}),
            "licenses": [{"expression": code.licence}],
            "evidence": {"occurrences": [{"location": code.file}]},
        }
    for library in content.vendor.libraries if content.wheel.role == "backend" else ():
        yield _bundled(content, library)
    for data in content.vendor.data if content.wheel.role == "backend" else ():
        yield {
            "type": "data",
            "bom-ref": f"bundled:{data.name}",
            "name": data.name,
            **_origin(data),
            "description": f"{data.files} files, opened by {data.opened_by}; the provenance lists each",
        }


def source_component(source: PlanSource, patches: tuple[PlanPatch, ...], name: str) -> Json:
    """Return the source tree as a component: where it came from, fixed by hash or commit, and that it was patched."""
    pedigree: Json = {}
    if source.kind == "git":
        pedigree = {"commits": [{"uid": source.ref or "", "url": source.url or ""}]}
    if patches:
        pedigree["patches"] = [{"type": "unofficial"} for _ in patches]
        pedigree["notes"] = "; ".join(
            f"{one.name}, sha256 {one.sha256}, for {' '.join(one.targets)}" for one in patches
        )
    sha256 = source.pin.sha256 if source.pin is not None else source.sha256
    return {
        "type": "framework",
        "bom-ref": f"source:{name}",
        "name": name,
        "version": source.version,
        "licenses": [{"expression": "MIT"}],
        "description": f"source {source.name}",
        **({"purl": purl} if (purl := source_purl(source, name)) else {}),
        **({"hashes": _hashes(sha256)} if sha256 else {}),
        **({"pedigree": pedigree} if pedigree else {}),
    }


def source_purl(source: PlanSource, name: str) -> str:
    """Return the package URL of a source tree; "" for a local one, which nobody else can fetch."""
    if source.pin is not None:
        plain = pypi_purl(source.pin.name, source.pin.version)
        return f"{plain}?file_name={quote(source.pin.filename)}" + (f"#{source.subdir}" if source.subdir else "")
    if source.kind == "git":
        where = quote(f"git+{source.url}@{source.ref}", safe="")
        return f"pkg:generic/{name}@{quote(source.version, safe='')}?vcs_url={where}"
    if source.kind == "archive":
        where = quote(source.url or "", safe="")
        return f"pkg:generic/{name}@{quote(source.version, safe='')}?download_url={where}"
    return ""


def _bundled(content: Content, library: VendorLibrary) -> Json:
    path = f"{content.wheel.package}/lib/{library.soname}"
    sha256, _ = content.files[path]
    return {
        "type": "library",
        "bom-ref": f"bundled:{library.soname}",
        "name": library.soname,
        **_origin(library),
        "hashes": _hashes(sha256),
        **({"pedigree": {"notes": "; ".join(library.changes)}} if library.changes else {}),
        "evidence": {"occurrences": [{"location": path}]},
    }


def _origin(one: VendorLibrary | VendorData) -> Json:
    """Return the package, version and licence of what travels, and how it serves the targets."""
    properties = [
        *([_property("package", one.package)] if one.package else []),
        *(_property(f"serves:{rung.target}", f"{rung.name} {rung.donor}") for rung in one.rungs),
    ]
    return {
        **({"version": one.version} if one.version else {}),
        **({"licenses": [{"license": {"name": f"see licenses/{one.licence}"}}]} if one.licence else {}),
        **({"properties": properties} if properties else {}),
    }


def _required(text: str) -> Json:
    need = Requirement(text)
    return {
        "type": "library",
        "bom-ref": f"requirement:{need.name}",
        "name": need.name,
        "scope": "required",
        "purl": pypi_purl(need.name, _exact(need)),
        "properties": [_property("requirement", text)],
    }


def _exact(need: Requirement) -> str:
    return next((one.version for one in need.specifier if one.operator == "=="), "")


def _builders(content: Content) -> Iterator[Json]:
    """Yield what was used and is not in the wheel: the compiler, the toolkit and the packages it consists of."""
    compiler = content.plan.host_compiler
    yield {
        "type": "application",
        "bom-ref": "compiler",
        "name": COMPILER_NAMES[compiler.family],
        "version": compiler.version,
        "scope": "excluded",
    }
    image = content.plan.inside
    if image is not None:
        yield {
            "type": "container",
            "bom-ref": "image",
            "name": image.name,
            "scope": "excluded",
            "hashes": _hashes(image.id.removeprefix("sha256:")),
        }
    for toolkit in (content.plan.toolkit, content.plan.base or None):
        if toolkit is None:
            continue
        yield {
            "type": "application",
            "bom-ref": f"toolkit:{toolkit.kind}",
            "name": TOOLKIT_NAMES[toolkit.kind],
            "version": toolkit.version,
            "scope": "excluded",
            "properties": [_property("provider", toolkit.provider)],
        }
        for pin in toolkit.pins:
            purl = pin_purl(toolkit, pin)
            yield {
                "type": "library",
                "bom-ref": purl,
                "name": pin.name,
                "version": pin.version,
                "scope": "excluded",
                "purl": purl,
                "hashes": _hashes(pin.sha256),
            }


def pin_purl(toolkit: PlanToolkit, pin: Pin) -> str:
    """Return the package URL of one of a toolkit's packages: of a registry, or of a Debian suite."""
    if toolkit.provider == "redist":
        return f"pkg:generic/{quote(pin.name)}@{quote(pin.version, safe='')}?file_name={quote(pin.filename)}"
    if toolkit.rootfs is None:
        return f"{pypi_purl(pin.name, pin.version)}?file_name={quote(pin.filename)}"
    architecture = pin.filename.removesuffix(".deb").rpartition("_")[2]
    suite = quote(toolkit.rootfs.suites[0])
    return f"pkg:deb/debian/{quote(pin.name)}@{quote(pin.version, safe='')}?arch={architecture}&distro={suite}"


def _tool(name: str, version: str) -> Json:
    return {"type": "application", "name": name, "version": version}


def _hashes(sha256: str) -> list[Json]:
    return [{"alg": "SHA-256", "content": sha256}]


def _property(name: str, value: str) -> Json:
    return {"name": f"gpubuild:{name}", "value": value}
