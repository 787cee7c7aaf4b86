from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildtool.compat.engine import resolve
from buildtool.compat.model import Request
from buildtool.compat.rules import runs_on
from buildtool.compat.targets import known_cuda, parse_target
from buildtool.errors import GpubuildError, IncompatibleError, InvalidInputError, UnknownNameError
from buildtool.matrix import Matrix, Wish, sites, solve
from buildtool.matrix.platforms import platforms
from buildtool.matrix.survey import split_cards

ON_A_CARD = sorted(name for name in known_cuda() if runs_on(parse_target(name)[0], "linux-x86_64"))
EXAMPLE = "GTX 970, RTX 3060, RTX 4090, RTX 5090, H100, RX 580, RX 6600, RX 7900 XTX, 780M, MI210, Arc A770"


def matrix(cards: str, **options: Any) -> Matrix:
    wish = Wish(cards=split_cards(cards), **options)
    return solve(wish, sites(wish.systems))


def test_the_list_of_eleven_cards_needs_four_builds() -> None:
    found = matrix(EXAMPLE)
    assert [(job.backend, job.toolkit.split(".")[0], job.cards) for job in found.jobs] == [
        ("vulkan", "vulkan 1", ("Arc A770",)),
        ("cuda", "cuda 11", ("GTX 970",)),
        ("cuda", "cuda 13", ("RTX 3060", "RTX 4090", "H100", "RTX 5090")),
        ("rocm", "rocm 7", ("MI210", "RX 580", "RX 6600", "RX 7900 XTX", "780M")),
    ]
    assert found.fewest == 4
    assert "no build can serve two of sm_52, sm_120" in found.proof[0]
    assert not found.unserved


def test_every_card_is_served_by_a_plan_that_holds_its_target() -> None:
    found = matrix(EXAMPLE)
    for job, plan in zip(found.jobs, found.plans, strict=True):
        assert plan.digest() == job.digest
        assert plan.backend == job.backend
        assert len(plan.targets) == (len(job.cards) if job.backend != "vulkan" else 0)
    assert sum(job.runtime for job in found.jobs) == 1  # one source, one system: one runtime is handed over


def test_size_and_time_limits_split_builds_and_say_so() -> None:
    found = matrix("RTX 3060, RTX 4090, H100, A100, RTX 5090", most_mb=45)
    assert sorted(len(job.targets) for job in found.jobs) == [1, 2, 2]
    assert all(job.megabytes <= 45 for job in found.jobs)
    assert "do not fit into 2 within the limits" in found.proof[0]
    assert [job.name for job in found.jobs] == [f"linux-x86_64-cuda13-{number}" for number in (1, 2, 3)]
    by_time = matrix("RTX 3060, RTX 4090, H100, A100, RTX 5090", most_minutes=60)
    assert all(job.minutes <= 60 for job in by_time.jobs)


def test_an_old_driver_and_an_old_c_library_rule_toolkits_out() -> None:
    assert matrix("RTX 3060", driver="550").jobs[0].toolkit == "cuda 11.8"
    assert matrix("RTX 3060", glibc="2.28").jobs[0].platform == "manylinux_2_28-x86_64"
    with pytest.raises(IncompatibleError) as caught:
        matrix("RX 6600", glibc="2.36", backends=("rocm",))
    assert any("may need glibc 2.43" in line for line in caught.value.details)
    found = matrix("RX 6600", glibc="2.36")  # then Vulkan serves it, and the reason says why
    assert (found.jobs[0].backend, found.jobs[0].cards) == ("vulkan", ("RX 6600",))
    assert "RX 6600: ROCm 7." in found.jobs[0].reason


def test_wished_toolkits_are_the_only_ones() -> None:
    assert matrix("RTX 3060", toolkits=("cuda==12.*",)).jobs[0].toolkit == "cuda 12.4"
    with pytest.raises(IncompatibleError, match="GTX 970"):
        matrix("GTX 970, RTX 3060", toolkits=("cuda==13.*",), backends=("cuda",))


def test_what_cannot_exist_on_a_system_is_no_fault_of_the_matrix() -> None:
    found = matrix("MI210, RTX 3060", systems=("linux-x86_64", "windows-x86_64"))
    assert [(one.card, one.os, one.kind) for one in found.unserved] == [("MI210", "windows-x86_64", "no-machine")]
    assert [job.os for job in found.jobs] == ["linux-x86_64", "linux-x86_64", "windows-x86_64"]
    with pytest.raises(InvalidInputError, match="nothing to build"):
        matrix("MI210", systems=("windows-x86_64",))


def test_partial_leaves_out_what_cannot_be_served_and_proves_it() -> None:
    with pytest.raises(IncompatibleError, match="Arc A770"):
        matrix("Arc A770, RTX 3060", backends=("cuda",))
    found = matrix("Arc A770, RTX 3060", backends=("cuda",), partial=True)
    assert [(one.card, one.why) for one in found.unserved] == [
        ("Arc A770", ("Vulkan is not among the backends asked for",))
    ]


def test_too_few_jobs_are_refused_with_what_each_serves() -> None:
    with pytest.raises(IncompatibleError, match="4 jobs are needed, at most 2") as caught:
        matrix(EXAMPLE, most_jobs=2)
    assert len(caught.value.details) == 4
    assert matrix(EXAMPLE, most_jobs=4).fewest == 4


def test_all_unknown_cards_are_named_at_once() -> None:
    with pytest.raises(UnknownNameError) as caught:
        matrix("RTX 3061, RX 6600, Voodoo 2")
    assert len(caught.value.details) == 2


def test_also_builds_for_any_machine() -> None:
    found = matrix("RTX 3060", also=("cpu", "vulkan"))
    assert [job.backend for job in found.jobs] == ["cpu", "vulkan", "cuda"]
    assert [job.runtime for job in found.jobs] == [True, False, False]
    assert matrix("", also=("cpu",)).fewest == 1
    assert matrix("cpu, vulkan").fewest == 2


def test_weights_become_shares() -> None:
    wish = Wish(cards=(("RTX 3060", 3.0), ("RTX 4060", 5.0), ("RX 6600", 2.0)))
    found = solve(wish, sites(wish.systems))
    assert [(job.backend, job.share) for job in found.jobs] == [("cuda", 80.0), ("rocm", 20.0)]


def test_the_order_of_the_cards_does_not_matter() -> None:
    cards = [name.strip() for name in EXAMPLE.split(",")]
    one, other = matrix(", ".join(cards)), matrix(", ".join(reversed(cards)))
    assert [(job.name, job.targets, job.digest) for job in one.jobs] == [
        (job.name, job.targets, job.digest) for job in other.jobs
    ]


@settings(max_examples=6)
@given(st.frozensets(st.sampled_from(ON_A_CARD), min_size=1, max_size=4))
def test_one_build_is_planned_exactly_when_the_engine_has_one_for_all(targets: frozenset[str]) -> None:
    """Fewer builds than the engine allows, or more than it needs, would contradict it."""
    try:
        found = matrix(";".join(sorted(targets)), backends=("cuda",))
    except IncompatibleError:
        return
    together = False
    for site in sites(("linux-x86_64",)):
        try:
            resolve(Request(backend="cuda", targets=tuple(targets)), site.host)
            together = True
        except GpubuildError:
            continue
    assert (found.fewest == 1) is together


def test_every_platform_can_make_a_runtime() -> None:
    for row in platforms():
        assert matrix("cpu", systems=(row.name,)).jobs[0].platform == row.name
