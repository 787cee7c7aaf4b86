"""`status`: every installation of a machine, and what each does with its devices. Reads, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable

from buildtool.deploy import find, rules
from buildtool.deploy.facts import Layout
from buildtool.deploy.find import Found
from buildtool.deploy.log import read_log
from buildtool.deploy.model import Installation, Runner, Service, Status, Verdict
from buildtool.deploy.runners import find_runners
from buildtool.deploy.service import find_models, find_service
from buildtool.deploy.site import Site
from buildtool.deploy.verdict import Surroundings, judge_all
from buildtool.deploy.version import llama_cpp, ollama_version
from buildtool.probe.model import Device


def status(site: Site, devices: Iterable[Device], prefix: str | None = None) -> Status:
    """Describe every installation of a machine, or the one below `prefix`.

    Args:
        site: the machine.
        devices: its GPUs, for the verdicts.
        prefix: look at this place only.

    Raises:
        InvalidInputError: there is no installation below `prefix`.
    """
    places = find.find(site, prefix)
    devices = tuple(devices)
    found = tuple(_installation(site, place, devices, alone=len(places) == 1) for place in places)
    notes = list(find.containers()) if site.here and prefix is None else []
    if len(found) > 1:
        served = [one.prefix for one in found if one.service.manager != "none"]
        notes.append(f"{len(found)} installations; a service starts {' and '.join(served) or 'none of them'}")
    return Status(installations=found, notes=tuple(notes))


def _installation(site: Site, place: Found, devices: tuple[Device, ...], *, alone: bool) -> Installation:
    layout = find.layout_of(site, place.libraries)
    service = find_service(site, place.program, alone=alone)
    log = read_log(site, service)
    version = ollama_version(site, place, log)
    runners = find_runners(site, place.libraries)
    return Installation(
        prefix=place.prefix,
        program=place.program,
        libraries=place.libraries,
        kind=place.kind,
        package=place.package,
        writable=place.writable,
        why=place.why,
        may_write=find.may_write(site, place.libraries),
        generation=layout.name if layout is not None else "unknown",
        layout=layout.words if layout is not None else find.UNKNOWN,
        version=version,
        llama_cpp=llama_cpp(site, place, version),
        runners=runners,
        service=service,
        models=find_models(site, service),
        log=log,
        verdicts=_verdicts(site, devices, runners, service, layout),
        notes=tuple(_notes(site, place, layout, runners, service)),
    )


def environment_of(site: Site, service: Service) -> dict[str, str]:
    """Return the variables that the server gets: its unit's, or the user's where the user starts it."""
    if service.manager in {"systemd", "systemd-user"}:
        return service.environment
    return {
        name: value for name, value in site.environ.items() if name.startswith(("OLLAMA_", "HSA_", "GGML_", "JETSON_"))
    }


def _verdicts(
    site: Site, devices: tuple[Device, ...], runners: tuple[Runner, ...], service: Service, layout: Layout | None
) -> tuple[Verdict, ...]:
    around = Surroundings(
        runners=runners,
        environment=environment_of(site, service),
        system=site.system,
        discovers=layout is not None and layout.discovers,
    )
    return judge_all(devices, around)


def _notes(
    site: Site, place: Found, layout: Layout | None, runners: tuple[Runner, ...], service: Service
) -> Iterable[str]:
    if not site.path(place.libraries).is_dir():
        yield f"{place.libraries} is not there: this Ollama has no GPU libraries at all"
    elif layout is None:
        yield f"{place.libraries} holds none of the files by which a layout is known"
    elif not layout.discovers:
        yield "a new folder is not picked up by this generation; Ollama 0.30 or newer does that"
    env = environment_of(site, service)
    ours = [one.name for one in runners if one.ours]
    if ours and rules.override_target(env, site.system):
        yield f"HSA_OVERRIDE_GFX_VERSION is set beside {', '.join(ours)}, built for the card itself: never both"
    for runner in runners:
        yield from (f"{runner.name}: {problem}" for problem in runner.problems)
