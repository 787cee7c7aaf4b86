"""`status` on recorded trees: what is found, what it holds, and what would become of each device."""

from __future__ import annotations

import json
from pathlib import Path

import ollama_trees as trees
import pytest
from typer.testing import CliRunner

from buildtool.cli.main import app
from buildtool.deploy.model import Installation, Verdict
from buildtool.deploy.site import copied
from buildtool.deploy.status import status
from buildtool.errors import InvalidInputError
from buildtool.probe.model import Device


def only(root: Path, *devices: Device) -> Installation:
    (found,) = status(copied(root), devices).installations
    return found


def verdict(root: Path, device: Device) -> Verdict:
    (found,) = only(root, device).verdicts
    return found


def drop_in(root: Path, *lines: str, name: str = "50-own.conf") -> None:
    text = "\n".join(["[Service]", *(f'Environment="{line}"' for line in lines)])
    trees.write(root / f"etc/systemd/system/ollama.service.d/{name}", text)


def test_an_installation_is_described_from_its_files(tmp_path: Path) -> None:
    found = only(trees.linux(tmp_path))
    assert (found.prefix, found.libraries) == ("/usr/local", "/usr/local/lib/ollama")
    assert (found.generation, found.kind, found.package) == ("new", "prefix", "")
    assert (found.service.manager, found.service.name, found.service.user) == ("systemd", "ollama.service", "ollama")
    assert (found.models.path, found.models.models) == ("/usr/share/ollama/.ollama/models", 1)
    assert found.version.value is None, "a copy cannot be asked"
    runners = {one.name: one for one in found.runners}
    assert runners["cuda_v13"].targets == (
        "compute_90",
        "compute_100a",
        "sm_75",
        "sm_90",
        "sm_90a",
        "sm_100a",
        "sm_100f",
    )
    assert (runners["rocm_v7_2"].library, runners["rocm_v7_2"].rocblas) == ("ROCm", ("gfx1030", "gfx1100"))
    assert (runners["mlx_cuda_v13"].library, runners["mlx_cuda_v13"].module) == ("", "")
    assert runners["vulkan"].library == "Vulkan"


@pytest.mark.parametrize(
    ("device", "state", "library", "runner"),
    [
        (trees.H100, "used", "CUDA", "cuda_v13"),
        (trees.RX6800, "used", "ROCm", "rocm_v7_2"),
        (trees.RX6600, "unproved", "Vulkan", "vulkan"),
        (trees.RADEON_IGPU, "dropped", "ROCm", "rocm_v7_2"),
        (trees.ARC, "unproved", "Vulkan", "vulkan"),
    ],
)
def test_the_verdict_follows_what_the_folders_hold(
    tmp_path: Path, device: Device, state: str, library: str, runner: str
) -> None:
    found = verdict(trees.linux(tmp_path), device)
    assert (found.state, found.library, found.runner) == (state, library, runner)


def test_an_rx_6600_is_told_why_it_is_left_out_and_what_would_help(tmp_path: Path) -> None:
    drop_in(trees.linux(tmp_path), "OLLAMA_VULKAN=0")
    found = verdict(tmp_path, trees.RX6600)
    assert found.state == "dropped"
    assert found.reason == "rocm_v7_2: no rocBLAS table for gfx1032: it has gfx1030 gfx1100"
    assert "HSA_OVERRIDE_GFX_VERSION=10.3.0 were set (rocm_v7_2 serves gfx1030)" in found.would
    assert "the gfx1030 code of rocm_v7_2 were retargeted to gfx1032" in found.would


def test_of_two_folders_for_one_card_the_highest_name_is_used_and_of_unequal_ones_the_lowest(tmp_path: Path) -> None:
    folder = trees.linux(tmp_path) / "usr/local/lib/ollama"
    trees.rocm_runner(folder / "rocm_v7_2_gpubuild_gfx1030", "gfx1030")
    assert verdict(tmp_path, trees.RX6800).runner == "rocm_v7_2_gpubuild_gfx1030"
    other = Device(vendor="amd", name="RX 7900 XTX", target="gfx1100", source="kfd", integrated=False)
    both = only(tmp_path, trees.RX6800, other).verdicts
    assert [one.runner for one in both] == ["rocm_v7_2", "rocm_v7_2"]


def test_the_override_of_the_unit_counts(tmp_path: Path) -> None:
    drop_in(trees.linux(tmp_path), "HSA_OVERRIDE_GFX_VERSION=10.3.0")
    found = verdict(tmp_path, trees.RX6600)
    assert (found.state, found.runner) == ("used", "rocm_v7_2")
    assert "gfx1030 (HSA_OVERRIDE_GFX_VERSION)" in found.reason


def test_a_runner_with_tables_but_without_code_does_not_serve(tmp_path: Path) -> None:
    drop_in(trees.linux(tmp_path), "OLLAMA_VULKAN=0")
    trees.rocm_runner(tmp_path / "usr/local/lib/ollama/rocm_v7_9", "gfx1100", tables=("gfx1032",))
    found = verdict(tmp_path, trees.RX6600)
    assert "rocm_v7_9: libggml-hip.so holds no code for gfx1032" in found.reason


def test_ollama_skips_a_card_whose_number_is_not_in_archs_even_where_the_code_would_run(tmp_path: Path) -> None:
    drop_in(trees.linux(tmp_path), "OLLAMA_VULKAN=0")
    found = verdict(tmp_path, trees.RTX3060)
    assert found.state == "dropped"
    assert "compute capability 8.6 (860) is not in ARCHS 750,900,1000" in found.reason


IGPU_1031 = Device(vendor="amd", name="in the processor", target="gfx1031", source="kfd", integrated=True)


def test_a_gpu_in_the_processor_needs_its_variable(tmp_path: Path) -> None:
    trees.rocm_runner(trees.linux(tmp_path) / "usr/local/lib/ollama/rocm_v7_2", "gfx1031", "gfx1030")
    assert "OLLAMA_IGPU_ENABLE=1" in verdict(tmp_path, IGPU_1031).would
    drop_in(tmp_path, "OLLAMA_IGPU_ENABLE=1")
    assert verdict(tmp_path, IGPU_1031).state == "used"


def test_the_forced_library_shuts_out_the_others(tmp_path: Path) -> None:
    drop_in(trees.linux(tmp_path), "OLLAMA_LLM_LIBRARY=vulkan")
    found = verdict(tmp_path, trees.H100)
    assert (found.state, found.library) == ("unproved", "Vulkan")
    assert "OLLAMA_LLM_LIBRARY=vulkan names another folder" in found.reason


def test_drop_ins_hold_in_the_order_of_their_names_and_stronger_folders_hide_weaker(tmp_path: Path) -> None:
    drop_in(trees.linux(tmp_path), "OLLAMA_HOST=0.0.0.0", "OLLAMA_DEBUG=1", name="90-last.conf")
    drop_in(tmp_path, "OLLAMA_HOST=127.0.0.1:1", name="10-first.conf")
    trees.write(
        tmp_path / "usr/lib/systemd/system/ollama.service.d/90-last.conf", "[Service]\nEnvironment=OLLAMA_HOST=hidden\n"
    )
    service = only(tmp_path).service
    assert service.environment["OLLAMA_HOST"] == "0.0.0.0"  # noqa: S104 - what the file says
    assert [Path(one).name for one in service.drop_ins] == ["10-first.conf", "90-last.conf"]


def test_an_empty_environment_line_forgets_what_was_set_before(tmp_path: Path) -> None:
    drop_in(trees.linux(tmp_path), "OLLAMA_HOST=1.2.3.4")
    trees.write(
        tmp_path / "etc/systemd/system/ollama.service.d/99.conf",
        "[Service]\nEnvironment=\nEnvironment=A=1 \\\n  'B=two words'\n",
    )
    assert only(tmp_path).service.environment == {"A": "1", "B": "two words"}


def test_the_service_user_outside_the_gpu_groups_is_told(tmp_path: Path) -> None:
    trees.write(trees.linux(tmp_path) / "etc/group", "video:x:44:\nrender:x:105:\nollama:x:998:\n")
    (note,) = only(tmp_path).service.notes
    assert note.endswith("sudo usermod -aG video,render ollama")


def test_two_installations_and_links_to_one(tmp_path: Path) -> None:
    trees.linux(tmp_path)
    trees.linux(tmp_path, prefix="opt/ollama", unit="")
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "usr/bin/ollama").symlink_to("/usr/local/bin/ollama")
    found = status(copied(tmp_path), ())
    assert [one.prefix for one in found.installations] == ["/usr/local", "/opt/ollama"]
    assert [one.service.manager for one in found.installations] == ["systemd", "none"]
    assert found.notes == ("2 installations; a service starts /usr/local",)


def test_a_distribution_package_tells_its_version_and_the_pin_follows(tmp_path: Path) -> None:
    trees.linux(tmp_path, prefix="usr", unit=trees.UNIT.replace("/usr/local", "/usr"))
    trees.write(tmp_path / "var/lib/dpkg/info/ollama.list", "/usr\n/usr/bin\n/usr/bin/ollama\n")
    trees.write(tmp_path / "var/lib/dpkg/status", "Package: ollama\nStatus: ok\nVersion: 1:0.34.1-2\n")
    found = only(tmp_path)
    assert (found.kind, found.package, found.version.value) == ("package", "ollama", "0.34.1")
    assert found.llama_cpp.value == "b10864"
    assert found.llama_cpp.source.startswith("table: ")


def test_a_version_without_a_known_pin_is_said_so(tmp_path: Path) -> None:
    trees.linux(tmp_path, prefix="usr", unit="")
    files = "%FILES%\nusr/bin/ollama\n"
    trees.write(tmp_path / "var/lib/pacman/local/ollama-0.99.0-1/files", files)
    found = only(tmp_path)
    assert (found.version.value, found.llama_cpp.value) == ("0.99.0", None)
    assert "no pin of 0.99.0 is known" in found.llama_cpp.source


def test_windows(tmp_path: Path) -> None:
    found = only(trees.windows(tmp_path), trees.RX6600)
    assert found.prefix == r"C:\Users\Ada\AppData\Local\Programs\Ollama"
    assert found.libraries == found.prefix + r"\lib\ollama"
    assert (found.kind, found.generation, found.service.manager) == ("windows", "new", "app")
    assert [one.name for one in found.runners] == ["rocm_v7_1", "vulkan"]
    assert (found.version.value, found.llama_cpp.value) == ("0.34.1", "b10864")
    (seen,) = found.log.lines
    assert (seen.meaning, seen.fields["library"], seen.fields["description"]) == (
        "used",
        "Vulkan",
        "AMD Radeon RX 6600",
    )
    assert "HSA_OVERRIDE" not in found.verdicts[0].would, "that variable is read on Linux only"


def test_macos_is_read_only(tmp_path: Path) -> None:
    found = only(trees.macos(tmp_path))
    assert (found.kind, found.writable, found.generation) == ("app", False, "new")
    assert "signed" in found.why


@pytest.mark.parametrize(("folder", "kind"), [("snap/ollama/current", "snap"), ("run/current-system/sw", "nix")])
def test_read_only_kinds_are_named(tmp_path: Path, folder: str, kind: str) -> None:
    found = only(trees.linux(tmp_path, prefix=folder, unit=""))
    assert (found.kind, found.writable) == (kind, False)


def test_an_old_layout_is_recognised_and_its_verdicts_are_its_own(tmp_path: Path) -> None:
    found = only(trees.old(tmp_path), trees.RX6600)
    assert found.generation == "old"
    assert found.verdicts[0].state == "unproved"
    assert any("0.30" in note for note in found.notes)


def test_an_unknown_layout_is_said_to_be_unknown(tmp_path: Path) -> None:
    trees.write(tmp_path / "usr/local/bin/ollama")
    trees.write(tmp_path / "usr/local/lib/ollama/engine-of-tomorrow")
    found = only(tmp_path)
    assert (found.generation, found.llama_cpp.value) == ("unknown", None)


def test_a_damaged_module_is_a_problem_of_its_runner_only(tmp_path: Path) -> None:
    trees.write(
        trees.linux(tmp_path) / "usr/local/lib/ollama/rocm_v7_2/libggml-hip.so", trees.hip_module("gfx1030")[:200]
    )
    runners = {one.name: one for one in only(tmp_path).runners}
    assert runners["rocm_v7_2"].problems
    assert runners["cuda_v13"].targets


def test_no_ollama_and_a_wrong_prefix(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    assert status(copied(tmp_path), ()).installations == ()
    with pytest.raises(InvalidInputError, match="no Ollama below /opt"):
        status(copied(tmp_path), (), "/opt")
    with pytest.raises(InvalidInputError):
        copied(tmp_path / "nowhere")


def test_the_command_prints_eighty_columns_and_the_same_as_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUBUILD_DEVICES", "gfx1032,sm_90")
    trees.linux(tmp_path)
    shown = CliRunner().invoke(app, ["ollama", "status", "--root", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.output.splitlines())) <= 80
    assert "(gfx1032): not settled by reading" in shown.output
    assert "(sm_90): used by CUDA, cuda_v13" in shown.output
    data = json.loads(CliRunner().invoke(app, ["ollama", "status", "--json", "--root", str(tmp_path)]).output)
    assert [one["state"] for one in data["installations"][0]["verdicts"]] == ["unproved", "used"]


def test_a_card_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUBUILD_DEVICES", "none")
    trees.linux(tmp_path)
    shown = CliRunner().invoke(app, ["ollama", "status", "--root", str(tmp_path), "--for-device", "RX 6600"])
    assert "RX 6600 (gfx1032)" in shown.output
