"""The C library a wheel needs, read from symbol versions."""

from __future__ import annotations

import pytest

from buildtool.wheel.tag import newest_glibc


@pytest.mark.parametrize(
    ("versions", "newest"),
    [
        ({"libc.so.6": {"GLIBC_2.9", "GLIBC_2.43", "GLIBC_2.2.5"}, "libm.so.6": {"GLIBC_2.38"}}, (2, 43)),
        ({"libstdc++.so.6": {"GLIBCXX_3.4.36", "CXXABI_1.3.15"}, "libc.so.6": {"GLIBC_PRIVATE"}}, (0, 0)),
        ({}, (0, 0)),
    ],
)
def test_the_newest_glibc(versions: dict[str, set[str]], newest: tuple[int, int]) -> None:
    assert newest_glibc(versions) == newest
