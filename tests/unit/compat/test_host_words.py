"""A host compiler or a C library that does not go with a toolkit: what the engine decides, and how it says so."""

from __future__ import annotations

import msgspec
import pytest
from compat_machines import clang, debian, gcc

from buildtool.compat import resolve
from buildtool.compat.model import Request
from buildtool.errors import GpubuildError
from buildtool.probe.model import Host, HostCompiler, Libc


def taking(major: int, library: str | None) -> HostCompiler:
    """A clang that takes the C++ library of a GCC."""
    return msgspec.structs.replace(clang(major), libstdcxx=library)


def wish(toolkit: str) -> Request:
    return Request(targets=("sm_90",), toolkit=toolkit)


def refusal(toolkit: str, host: Host) -> str:
    with pytest.raises(GpubuildError) as caught:
        resolve(wish(toolkit), host)
    return caught.value.why


def test_clang_21_with_the_library_of_gcc_16_is_refused_by_the_toolkits_that_cannot_read_it() -> None:
    host = debian(host_compilers=(taking(21, "16"),))
    why = refusal("cuda==13.2.*", host)
    assert "GCC 16's C++ library" in why
    assert "missing initializer for constexpr variable" in why
    found = resolve(wish("cuda==13.3.*"), host)
    assert found.host_compiler.version == "21.0.1"


@pytest.mark.parametrize("compiler", [taking(21, "15"), taking(20, "16"), taking(21, None)])
def test_a_clang_that_sees_an_older_library_or_tells_none_is_taken(compiler: HostCompiler) -> None:
    assert resolve(wish("cuda==13.2.*"), debian(host_compilers=(compiler,))).host_compiler.cxx == compiler.cxx


def test_another_compiler_is_taken_instead_and_the_plan_says_which_was_refused() -> None:
    plan = resolve(wish("cuda==13.2.*"), debian(host_compilers=(taking(21, "16"), clang(19))))
    assert plan.host_compiler.version == "19.0.1"
    decision = next(one for one in plan.decisions if one.subject == "host compiler")
    assert "refused: clang 21.0.1" in decision.reason


def test_a_refused_clang_is_told_the_limits_of_clang() -> None:
    assert "CUDA 13.5 accepts gcc 6 to 16 and clang 7 to 22; found here: clang 23.0.1." in refusal(
        "cuda==13.5.*", debian(host_compilers=(clang(23),))
    )
    assert "clang" not in refusal("cuda==13.3.*", debian(host_compilers=(gcc(16),)))


@pytest.mark.parametrize(("toolkit", "function"), [("cuda==12.8", "cospi"), ("cuda==13.0.*", "rsqrt")])
def test_what_people_see_is_what_the_toolkit_in_question_does(toolkit: str, function: str) -> None:
    host = debian("13", libc=Libc(name="glibc", version="2.43"))
    assert f'previous function "{function}"' in refusal(toolkit, host)
