"""The proof from end to end: make an environment, install, go through the steps, report, clean up."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from buildtool.errors import GpubuildError, InvalidInputError, NotProvedError, VerificationError
from buildtool.verify import models
from buildtool.verify.environment import Environment, throwaway
from buildtool.verify.findings import Findings, broken_off
from buildtool.verify.model import EXIT_CODES, Options, Report, Step, overall
from buildtool.verify.select import Selection, executable_directory, select
from buildtool.verify.steps import bench, devices, loader, model, modules, ops, origin
from buildtool.verify.subject import Subject, in_place, installed

OnStep = Callable[[str], None]


def verify(paths: Sequence[Path], options: Options, on_step: OnStep | None = None) -> Report:
    """Prove an artefact on this machine.

    Args:
        paths: wheels, directories of wheels, or one directory of a build's executables.
        options: how much, with what, how long.
        on_step: called with the title of every step before it runs.

    Returns:
        The report; its verdict may be a failure. `require` turns that into an error.

    Raises:
        InvalidInputError: a path, the model or the baseline is not what it should be.
        IntegrityError: a wheel is damaged, was changed, or is not signed with the key that was given.
        MissingToolError: no virtual environment can be made, or a dependency is nowhere to be found.
        NetworkError: the index could not be reached.
    """
    selection = select(paths)
    options = _checked(options)
    with throwaway(options) as environment:
        proof = _Proof(environment, options, on_step or (lambda _title: None))
        proof.go(selection)
        return proof.report(selection)


def require(report: Report) -> None:
    """Raise what the report's verdict amounts to.

    Raises:
        VerificationError: a step failed.
        NotProvedError: nothing failed, but something could not be proved here.
    """
    blamed = [step for step in report.steps if step.verdict == report.verdict or _only_loaded(step, report)]
    details = tuple(f"{step.title}: {step.summary}" for step in blamed)
    if report.verdict == "failed":
        what = "The artefact was run and is not right."
        raise VerificationError(what, hint="gpubuild verify --json shows the evidence.", details=details)
    if report.verdict == "not-proved":
        what = "What could be run here is right, but the artefact is not proved on a device."
        hint = "Run gpubuild verify with the same wheels on a machine with the device and its driver."
        raise NotProvedError(what, hint=hint, details=details)


def _only_loaded(step: Step, report: Report) -> bool:
    return step.verdict == "loader-proved" and report.verdict == "not-proved"


def _checked(options: Options) -> Options:
    """Look at everything the user named before any work starts."""
    if options.model is not None and options.model != models.SMOLLM2_NAME:
        models.require_gguf(Path(options.model))
    for directory in options.find_links:
        if not Path(directory).is_dir():
            what = f"--find-links {directory!r} is not a directory."
            raise InvalidInputError(what)
    if options.baseline is None:
        return options
    return msgspec.structs.replace(options, baseline=str(executable_directory(Path(options.baseline))))


class _Proof:
    """Collects the steps of one run; every step may rely on what the ones before it found."""

    def __init__(self, environment: Environment, options: Options, on_step: OnStep) -> None:
        self._environment = environment
        self._options = options
        self._on_step = on_step
        self._steps: list[Step] = []
        self._found: list[Findings] = []
        self._subject: Subject | None = None

    def go(self, selection: Selection) -> None:
        """Run the steps; the first two decide what the others run on."""
        subject = self._install(selection)
        if subject is None:
            self._load_uninstalled(selection)
            return
        self._subject = subject
        options = self._options
        loaded = self._step("modules", modules.TITLE, lambda: modules.check(subject, options)).modules
        listed = self._step("devices", devices.TITLE, lambda: devices.check(subject, options)).devices
        if loader.is_called_for(subject.backends(), listed):
            self._step("loader", loader.TITLE, lambda: loader.check(subject.libraries(), [subject.directory]))
        chosen = devices.to_prove(listed, every=options.mode == "full")
        self._step("ops", ops.TITLE, lambda: ops.check(subject, chosen or ("CPU",), options))
        proofs: list[models.Model] = []

        def agree() -> Findings:
            proofs.extend(self._models(subject))
            return model.check(subject, chosen, loaded, tuple(proofs), options)

        self._step("model", model.TITLE, agree)
        self._step("bench", bench.TITLE, lambda: self._bench(subject, chosen, proofs))

    def _install(self, selection: Selection) -> Subject | None:
        if selection.executables is not None:
            return in_place(self._environment, selection.executables)
        self._step("origin", origin.TITLE, lambda: origin.check(selection.wheels, self._options), reraise=True)
        ready: list[Subject] = []

        def action() -> Findings:
            try:
                ready.append(installed(self._environment, selection, self._options))
            except (VerificationError, NotProvedError) as error:
                return _finding(error)
            subject = ready[0]
            summary = ", ".join(f"{wheel.distribution} {wheel.version}" for wheel in selection.described)
            outer = tuple(f"vendor libraries from outside: {path}" for path in subject.outer_libraries)
            return Findings(verdict="passed", summary=summary, evidence=(*subject.installed, *outer))

        self._step("install", "wheels install", action, reraise=True)
        return ready[0] if ready else None

    def _load_uninstalled(self, selection: Selection) -> None:
        """Look at what a wheel for another C library holds, which cannot be installed here."""
        names = [wheel.distribution for wheel in selection.described]
        if not any(f"-{loader.BACKEND}" in name for name in names):  # gpubuild-llama-rocm7
            return
        self._step(
            "loader",
            loader.TITLE,
            lambda: loader.check(*loader.unpacked(selection.wheels, self._environment.root / "wheels")),
        )

    def _models(self, subject: Subject) -> list[models.Model]:
        own = models.given(self._environment, self._options)
        try:
            tiny = models.tiny(self._environment, self._options)
        except NotProvedError:
            if own is None:
                raise
            return [own]
        found = [tiny] if own is None else [own, tiny]
        if self._options.mode == "full":
            smaller = models.quantised(subject, tiny, self._options)
            found += [smaller] if smaller is not None else []
        return found

    def _bench(self, subject: Subject, chosen: tuple[str, ...], proofs: list[models.Model]) -> Findings:
        if not proofs:
            return Findings(verdict="not-proved", summary="no model to measure with")
        return bench.check(subject, chosen, proofs[0], self._options)

    def _step(self, name: str, title: str, action: Callable[[], Findings], *, reraise: bool = False) -> Findings:
        self._on_step(title)
        started = time.monotonic()
        try:
            found = action()
        except GpubuildError as error:
            if reraise:
                raise
            found = _finding(error)
        self._found.append(found)
        self._steps.append(
            Step(
                name=name,
                title=title,
                verdict=found.verdict,
                seconds=round(time.monotonic() - started, 3),
                summary=found.summary,
                evidence=found.evidence,
            )
        )
        return found

    def report(self, selection: Selection) -> Report:
        """Put everything together."""
        verdict = overall(tuple(step.verdict for step in self._steps))
        runtime = next((wheel.version for wheel in selection.described if wheel.distribution == "gpubuild-llama"), None)
        return Report(
            verdict=verdict,
            exit_code=EXIT_CODES[verdict],
            mode=self._options.mode,
            platform=platform.platform(),
            subject=str(selection.executables) if selection.executables else None,
            runtime=runtime,
            wheels=selection.described,
            backends=self._subject.backends() if self._subject else (),
            environment=str(self._environment.root) if self._options.keep else None,
            steps=tuple(self._steps),
            modules=tuple(value for found in self._found for value in found.modules),
            devices=tuple(value for found in self._found for value in found.devices),
            operations=tuple(value for found in self._found for value in found.operations),
            agreements=tuple(value for found in self._found for value in found.agreements),
            figures=tuple(value for found in self._found for value in found.figures),
            loader=next((found.loader for found in self._found if found.loader is not None), None),
        )


def _finding(error: GpubuildError) -> Findings:
    found = broken_off(error)
    return msgspec.structs.replace(found, verdict="not-proved") if isinstance(error, NotProvedError) else found
