"""The engine against the answers an expert would give (golden.toml, readable as docs/cards.md)."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from compat_machines import amd, cuda, debian, driver, gcc, rocm, ubuntu, windows

from buildtool.compat import resolve
from buildtool.compat.case import make_case
from buildtool.compat.devices import device_target
from buildtool.compat.engine import every
from buildtool.compat.model import Request
from buildtool.compat.offers import nearest
from buildtool.errors import GpubuildError, IncompatibleError, MissingToolError
from buildtool.probe.model import Host, Libc, OperatingSystem

GOLDEN = tomllib.loads((Path(__file__).parent / "golden.toml").read_text("utf-8"))
HOSTS = {"debian12": debian("12"), "debian13": debian("13"), "ubuntu": ubuntu(), "windows": windows()}
SHORT = {"Debian 12 (bookworm), non-free": "Debian 12", "Debian 13 (trixie), non-free": "Debian 13",
         "NVIDIA's CUDA toolkit archive": "NVIDIA", "AMD's own packages": "AMD"}  # fmt: skip


def answer(target: str, host: Host) -> str:
    """Return the engine's first answer in the words of the golden table."""
    request = Request(targets=(target,))
    try:
        plan = resolve(request, host)
    except GpubuildError:
        case = make_case(request, host)
        offers = nearest(case, tuple(every(case)))
        return _offer_words(offers[0].title, offers[0].first) if offers else "not on this machine"
    assert plan.toolkit is not None
    assert plan.toolkit.provider == "pypi"
    return f"CUDA {'.'.join(plan.toolkit.version.split('.')[:2])}, fetched by gpubuild"


def _offer_words(title: str, first: str) -> str:
    if title == "Vulkan":
        return title
    where = next(short for long, short in SHORT.items() if f"from {long}" in first)
    major = first.partition("install g++-")[2].rstrip(")")
    return f"{title} from {where}" + (f", with g++-{major}" if major else "")


@pytest.mark.parametrize("card", GOLDEN["card"], ids=lambda card: card["name"])
def test_each_card_gets_the_plan_an_expert_would_give(card: dict[str, Any]) -> None:
    assert str(device_target(card["name"])) == card["target"]
    found = {name: answer(card["target"], host) for name, host in HOSTS.items()}
    assert found == {name: GOLDEN["answers"][card[name]] for name in HOSTS}


def test_the_page_of_cards_agrees_with_the_table() -> None:
    script = Path(__file__).parents[3] / "tools" / "cards_page.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_jetson_is_built_for_on_the_jetson() -> None:
    system = OperatingSystem(
        system="linux", machine="aarch64", id="ubuntu", version="22.04", name="Ubuntu 22.04", kernel="5.15-tegra"
    )
    jetson = ubuntu(
        os=system, libc=Libc(name="glibc", version="2.35"), host_compilers=(gcc(11),),
        toolkits=(cuda("12.6.68", "/usr/local/cuda"),), drivers=(driver("540.4.0", "12.6"),),
    )  # fmt: skip
    plan = resolve(Request(targets=("sm_87",)), jetson)
    assert plan.toolkit is not None
    assert (plan.platform, plan.toolkit.path) == ("linux-aarch64", "/usr/local/cuda")
    with pytest.raises(IncompatibleError) as caught:
        resolve(Request(targets=("sm_87",)), debian())
    assert "sm_87 (Jetson Orin) is in aarch64 Linux machines only" in caught.value.why
    assert "on the machine that has it" in caught.value.hint


def test_a_build_that_travels_may_hold_targets_of_other_machines() -> None:
    plan = resolve(Request(backend="cuda", base="recipe"), debian())
    assert "sm_121a" in plan.targets


def test_the_widely_copied_kepler_recipe_gets_the_right_offers() -> None:
    request = Request(targets=("30;35;37;50;52",), toolkit="cuda==11.4")
    with pytest.raises(IncompatibleError) as caught:
        resolve(request, debian())
    assert caught.value.why == (
        "sm_30 is known to CUDA 7.5 to 10.2 only. You asked for cuda==11.4; CUDA 11.4 knows sm_35 to sm_87."
    )
    case = make_case(request, debian())
    first, *others = nearest(case, tuple(every(case)))
    assert first.command == 'gpubuild plan --backend cuda --target "sm_35;sm_37;sm_50;sm_52" --toolkit "cuda==11.4"'
    assert first.lost == "sm_30"
    assert "GCC 11 (apt-get install g++-11)" in first.first
    assert {one.title for one in others} >= {"Vulkan", "CPU"}


@pytest.mark.parametrize(
    ("target", "host", "why"),
    [
        ("gfx803", debian(), "AMD's ROCm serves no gfx803"),
        ("gfx803", debian(toolkits=(rocm("6.4.3"),), devices=(amd("gfx803", "RX 580"),)), "serves no gfx803"),
        ("gfx1013", debian(), "No ROCm release has rocBLAS kernels for gfx1013"),
        ("gfx906", windows(), "No ROCm release for Windows has rocBLAS kernels for gfx906"),
        ("sm_37", debian("13"), "do not compile with glibc 2.41"),
    ],
)
def test_what_rocm_or_the_machine_lacks_is_the_reason(target: str, host: Host, why: str) -> None:
    with pytest.raises(IncompatibleError) as caught:
        resolve(Request(targets=(target,)), host)
    assert why in caught.value.why


def test_debians_own_rocm_still_serves_gfx803() -> None:
    plan = resolve(Request(targets=("gfx803",)), debian(toolkits=(rocm("6.4.3", "/usr"),)))
    assert plan.backend == "rocm"
    system = OperatingSystem(
        system="linux", machine="x86_64", id="debian", version="", name="Debian sid", kernel="6.17"
    )
    with pytest.raises(MissingToolError) as caught:
        resolve(Request(targets=("gfx803",)), debian(os=system))
    assert "from Debian" in caught.value.hint
