from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from buildtool.verify.parse_devices import parse_devices

TWO = """\
ggml_cuda_init: found 2 CUDA devices (Total VRAM: 162158 MiB):
  Device 0: NVIDIA H100 80GB HBM3, compute capability 9.0, VMM: yes, VRAM: 81079 MiB
Available devices:
  CUDA0: NVIDIA H100 80GB HBM3 (81079 MiB, 80500 MiB free)
  Vulkan0: AMD Radeon 780M (RADV PHOENIX) (31823 MiB, 31000 MiB free)
"""


def test_names_descriptions_and_memory() -> None:
    devices = parse_devices(TWO)
    assert devices is not None
    assert [device.name for device in devices] == ["CUDA0", "Vulkan0"]
    assert devices[1].description == "AMD Radeon 780M (RADV PHOENIX)"
    assert (devices[0].total_mib, devices[0].free_mib) == (81079, 80500)


def test_an_empty_list_is_not_the_same_as_no_list() -> None:
    assert parse_devices("Available devices:\n  (none)\n") == ()
    assert parse_devices("Available devices:\n") == ()
    assert parse_devices("error: unknown argument --list-devices\n") is None


_NAMES = st.from_regex(r"[A-Za-z]{1,8}[0-9]{1,2}", fullmatch=True)
_DESCRIPTIONS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).filter(
    lambda text: text == text.strip()
)


@given(st.lists(st.tuples(_NAMES, _DESCRIPTIONS, st.integers(0, 10**7), st.integers(0, 10**7)), max_size=4))
def test_whatever_is_printed_is_read_back(rows: list[tuple[str, str, int, int]]) -> None:
    lines = [f"  {name}: {text} ({total} MiB, {free} MiB free)" for name, text, total, free in rows]
    devices = parse_devices("\n".join(["Available devices:", *(lines or ["  (none)"])]))
    assert devices is not None
    assert [(d.name, d.description, d.total_mib, d.free_mib) for d in devices] == rows


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    assert parse_devices(text) is None or "Available devices:" in text
