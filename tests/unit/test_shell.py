"""A command that is shown is the command that runs: a real shell reads the words back."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildtool.shell import command_line, quote

WORDS = st.lists(
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12)
    | st.text("ab;|&<>()$`\"'\\ *?!%=[]{}~#^", max_size=12)
)


@given(WORDS)
def test_posix_reads_the_words_back(words: list[str]) -> None:
    assert shlex.split(command_line(words)) == words


@pytest.mark.skipif(shutil.which("sh") is None, reason="no POSIX shell here")
def test_a_real_shell_reads_the_words_back() -> None:
    words = [
        "a b",
        "sm_80;sm_86",
        "cuda<13",
        "$HOME",
        "`id`",
        'say "x"',
        "it's",
        "back\\slash",
        "!x",
        "*",
        "",
        "~",
        "a=b",
    ]
    show = command_line([sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))", *words])
    done = subprocess.run(["sh", "-c", show], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ascii(words)


@pytest.mark.parametrize(
    ("word", "linux", "windows"),
    [
        ("gfx1032", "gfx1032", "gfx1032"),
        ("sm_80;sm_86", '"sm_80;sm_86"', '"sm_80;sm_86"'),
        ("cuda<13,>=12.4", '"cuda<13,>=12.4"', '"cuda<13,>=12.4"'),
        (r"C:\llama\lib", r"'C:\llama\lib'", r"C:\llama\lib"),
        (r"C:\My Files", r"'C:\My Files'", r'"C:\My Files"'),
        ("C:\\My Files\\", "'C:\\My Files\\'", "'C:\\My Files\\'"),
        ("a$b's", "'a$b'\"'\"'s'", "'a$b''s'"),
        ("", "''", "''"),
        ("a,b", "a,b", '"a,b"'),
    ],
)
def test_quotes_are_those_that_all_shells_share_where_there_are_such(word: str, linux: str, windows: str) -> None:
    assert (quote(word), quote(word, "windows")) == (linux, windows)
