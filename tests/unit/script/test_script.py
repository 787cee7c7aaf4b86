"""A plan as a script says what gpubuild itself would do, and every word arrives as it was."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from script_samples import GOLDEN, golden_text, samples
from tree_sitter import Language, Node, Parser

from buildtool.compat.model import Plan, PlanSource, PlanToolkit
from buildtool.errors import InvalidInputError, UnknownNameError
from buildtool.script import bash, patch_text, powershell, script_text
from buildtool.script.compose import _archive
from buildtool.script.model import Check, Folder, Let, Say, Script, Write, var
from buildtool.script.toolkits import TOOLKIT, _clang
from buildtool.source.model import SourceTree
from buildtool.toolchain.installed import rocm_toolchain

SAMPLES = samples()
ANY_TEXT = st.text(st.characters(exclude_characters="\0\r", exclude_categories=("Cs", "Co")), max_size=30)


def powershell_tree(text: str) -> Node:
    import tree_sitter_powershell

    return Parser(Language(tree_sitter_powershell.language())).parse(text.encode()).root_node


@pytest.mark.parametrize("name", SAMPLES)
def test_a_script_is_as_it_was_reviewed(name: str) -> None:
    """After a change that is meant: python tests/unit/script/script_samples.py, and read the difference."""
    assert golden_text(*SAMPLES[name]) == (GOLDEN / name).read_text("utf-8")


def test_no_reviewed_script_is_left_behind() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(SAMPLES)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.endswith(".sh")])
def test_bash_reads_it(name: str) -> None:
    text = script_text(SAMPLES[name][0], "bash", SAMPLES[name][1])
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("layout", ["newest", "fitting", "plain"])
def test_the_script_takes_the_clang_that_gpubuild_takes(tmp_path: Path, layout: str) -> None:
    root = tmp_path / "my rocm"
    for place in ("llvm/bin", *(f"lib/llvm-{n}/bin" for n in (9, 17, 21) if layout != "plain")):
        (root / place).mkdir(parents=True)
        (root / place / "clang++").touch()
    for number in (9, 17) if layout == "fitting" else ():
        (root / f"lib/llvm-{number}/lib/clang/{number}/amdgcn").mkdir(parents=True)
    text = bash.render(Script(head=(), steps=(Let("toolkit", str(root)), *_clang(TOOLKIT, "none"), Say(var("clang")))))
    done = subprocess.run(["bash"], input=text, capture_output=True, text=True, check=True)
    options, _ = rocm_toolchain(root, "7.0")
    assert done.stdout.strip() == options["CMAKE_HIP_COMPILER"]
    assert {"newest": "llvm-21", "fitting": "llvm-17", "plain": "/llvm/"}[layout] in done.stdout


def test_windows_is_given_the_program_curl_and_no_other_command_of_that_name() -> None:
    source = PlanSource(kind="archive", name="x", version="1", url="https://host.example/x.tar.gz", sha256="0" * 64)
    plan = msgspec.structs.replace(SAMPLES["cpu.ps1"][0], source=source)
    text = script_text(plan, "powershell")
    assert "Invoke-Program 'curl.exe'" in text
    assert "Get-Command 'curl.exe'" in text
    assert "'curl'" not in text


def test_a_zip_archive_is_not_handed_to_a_tar_that_cannot_read_it() -> None:
    source = PlanSource(kind="archive", name="x", version="1", url="https://host.example/x.ZIP", sha256="0" * 64)
    with pytest.raises(InvalidInputError, match="zip archive"):
        script_text(msgspec.structs.replace(SAMPLES["cpu.sh"][0], source=source), "bash")
    assert "'tar'" in script_text(msgspec.structs.replace(SAMPLES["cpu.ps1"][0], source=source), "powershell")


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.endswith(".ps1")])
def test_a_powershell_grammar_reads_it(name: str) -> None:
    text = script_text(SAMPLES[name][0], "powershell", SAMPLES[name][1])
    assert not powershell_tree(text).has_error
    assert text.isascii(), "Windows PowerShell reads a file without a mark in the machine's own encoding"
    assert "Nobody has run this on Windows yet" in text


@pytest.mark.parametrize("name", SAMPLES)
def test_cmake_is_told_everything_the_plan_says_and_nothing_of_this_machine(name: str) -> None:
    found, patch = SAMPLES[name]
    text = script_text(found, "auto", patch)
    for option, value in found.cmake_options.items():
        assert f"-D{option}={value}" in text
    assert str(Path.cwd()) not in text
    assert str(Path.home()) + "/" not in text
    assert not re.search("[\ue000\ue001]", text), "every variable has become the shell's"
    for pin in found.toolkit.pins if found.toolkit is not None else ():
        assert pin.sha256 in text
    assert found.digest() in text


@given(st.lists(ANY_TEXT, min_size=1, max_size=20))
def test_every_word_reaches_a_program_of_bash_as_it_was(words: list[str]) -> None:
    lines = [
        "value='a \"b\" $c'",
        "printf '%s\\0' " + " ".join(bash.word(f"{one}{var('value')}{one}") for one in words),
    ]
    lines.append("printf '%s\\0' " + " ".join(map(bash.word, words)))
    done = subprocess.run(["bash"], input="\n".join(lines).encode(), capture_output=True, check=True)
    expected = [f'{one}a "b" $c{one}' for one in words] + words
    assert done.stdout.decode().split("\0")[:-1] == expected


@given(ANY_TEXT)
def test_every_word_is_one_string_of_powershell(word: str) -> None:
    if '"' in word:
        with pytest.raises(InvalidInputError):
            powershell.word(word)
        return
    literal = powershell.word(word)
    assert (literal[0], literal[-1]) == ("'", "'")
    assert re.sub("(['\\u2018\\u2019\\u201a\\u201b])\\1", r"\1", literal[1:-1]) == word
    mixed = powershell.word(f"{word}{var('value')}{word}")
    assert (mixed[0], mixed[-1]) == ('"', '"')
    plain = re.sub(r"`(.)", r"\1", mixed[1:-1], flags=re.DOTALL) if "`" in mixed else mixed[1:-1]
    if "`" not in word:
        assert plain == f"{word}${{value}}{word}"


def test_a_here_document_holds_any_content(tmp_path: Path) -> None:
    content = "a $b `c` \\ 'd' \"e\"\nGPUBUILD_END\n'@\nlast\n"
    script = Script(head=("x",), steps=(Write(str(tmp_path / "file"), content),))
    subprocess.run(["bash"], input=bash.render(script), text=True, check=True)
    assert (tmp_path / "file").read_text() == content
    with pytest.raises(InvalidInputError):
        powershell.render(script)


CURL = """#!/bin/sh
while [ "$1" != --output ]; do shift; done
if [ -e "$0.again" ]; then echo whole > "$2"; exit; fi
touch "$0.again"
echo half > "$2"
kill -KILL "$PPID"
"""


def test_what_a_killed_run_left_half_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "curl").write_text(CURL)
    (tmp_path / "curl").chmod(0o755)
    source = PlanSource(kind="archive", name="a", version="1", url="https://host.example/a%20b.tar.gz?token=1")
    steps = (Let("work", str(tmp_path / "wo rk")), Folder(f"{var('work')}/downloads"), *_archive(source)[1])
    text = bash.render(Script(head=("x",), steps=steps))
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    first = subprocess.run(["bash"], input=text, text=True, env=env, check=False)
    assert first.returncode == -signal.SIGKILL
    subprocess.run(["bash"], input=text, text=True, env=env, check=True)
    (archive,) = (tmp_path / "wo rk" / "downloads").iterdir()
    assert (archive.name, archive.read_text()) == ("a b.tar.gz", "whole\n")


def test_a_fetched_file_that_is_another_is_deleted_and_so_fetched_again(tmp_path: Path) -> None:
    file = tmp_path / "my file.tar"
    file.write_text("right")
    text = bash.render(Script(head=(), steps=(Check(str(file), hashlib.sha256(b"right").hexdigest()), Say("checked"))))
    assert subprocess.run(["bash"], input=text, text=True, check=True, capture_output=True).stdout == "checked\n"
    file.write_text("wrong")
    done = subprocess.run(["bash"], input=text, text=True, check=False, capture_output=True)
    assert (done.returncode, done.stdout.count("checked")) == (1, 0)
    assert "my file.tar is not the file that was planned" in done.stderr
    assert not file.exists()


def linux() -> Plan:
    return SAMPLES["cpu.sh"][0]


def test_a_shell_that_builds_nothing_there_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="linux-x86_64") as caught:
        script_text(linux(), "powershell")
    assert "--print-script bash" in caught.value.hint
    with pytest.raises(UnknownNameError):
        script_text(linux(), "fish")
    with pytest.raises(InvalidInputError, match="macos"):
        script_text(msgspec.structs.replace(linux(), platform="macos-aarch64"))


def test_what_a_plan_leaves_open_is_refused() -> None:
    archive = msgspec.structs.replace(linux().source, kind="archive", pin=None, url="https://host.example/a.tar.gz")
    with pytest.raises(InvalidInputError, match="no sha256"):
        script_text(msgspec.structs.replace(linux(), source=archive))
    rocm = SAMPLES["rocm-rootfs-patched.sh"][0]
    assert rocm.toolkit is not None
    with pytest.raises(InvalidInputError, match="not fixed"):
        script_text(msgspec.structs.replace(rocm, toolkit=msgspec.structs.replace(rocm.toolkit, pins=())), "auto", "x")
    with pytest.raises(InvalidInputError, match="patches"):
        script_text(rocm)
    local = msgspec.structs.replace(rocm.source, kind="local", pin=None, url="/home/me/llama.cpp")
    with pytest.raises(InvalidInputError, match="tree of yours"):
        script_text(msgspec.structs.replace(rocm, source=local), "auto", "x")


@pytest.mark.parametrize(
    "text", ["one\n{}\nthree\n", "one\r\n{}\r\nthree\r\n", "one\n\f{}\n\u2028three\n", "one\n{}", "{}\n\nlast"],
    ids=["plain", "as Windows ends lines", "other separators", "no end of line", "no end of the last line"],
)  # fmt: skip
def test_a_patch_makes_the_patched_tree_of_the_source(tmp_path: Path, text: str) -> None:
    for name, words in (("before", "old"), ("after", "new")):
        (tmp_path / name / "sub").mkdir(parents=True)
        for file in ("file.h", "other.h"):
            (tmp_path / name / "sub" / file).write_bytes(text.format(words).encode())
        (tmp_path / name / "same").write_bytes(b"\xff\x00")
    before, after = (SourceTree(path=str(tmp_path / name), digest=name) for name in ("before", "after"))
    assert patch_text(before, before) == ""
    (tmp_path / "patch").write_bytes(patch_text(before, after).encode())
    subprocess.run(["git", "apply", str(tmp_path / "patch")], cwd=before.path, check=True)
    for file in ("file.h", "other.h"):
        assert (tmp_path / "before" / "sub" / file).read_bytes() == text.format("new").encode()


def test_the_hip_sdk_compiles_everything_on_windows_and_no_visual_c_is_asked_for() -> None:
    text = script_text(SAMPLES["rocm-hip-sdk.ps1"][0])
    assert '"-DCMAKE_CXX_COMPILER=${toolkit}/bin/clang++.exe"' in text
    assert "'-DGPU_TARGETS=gfx1032;gfx1103'" in text
    assert "$env:HIP_PATH" in text
    assert "cl.exe" not in text
    assert "CMAKE_HIP_COMPILER" not in text, "CMake has no HIP language on Windows"


def test_a_root_filesystem_is_entered_for_compiling_and_left_for_installing() -> None:
    text = script_text(*SAMPLES["rocm-rootfs-patched.sh"][:1], "bash", "x\n")
    assert 'inside "${cmake}" -G Ninja' in text
    assert 'inside "${ninja}" -C "${build}"' in text
    assert '\n"${cmake}" --install' in text


def test_a_plan_for_an_old_system_is_refused() -> None:
    plan, *_ = next(iter(SAMPLES.values()))
    base = PlanToolkit(kind="host", version="2.31", provider="rootfs")
    with pytest.raises(InvalidInputError, match="old system"):
        script_text(msgspec.structs.replace(plan, base=base), "bash")
