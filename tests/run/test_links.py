"""Images that links lead to are not sent to another machine without permission."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from tests.helpers.whole_runs import run

FAR = "describer={use: openai, base_url: 'https://192.0.2.1/v1', model: m}"
NEAR = "describer={use: openai, base_url: 'http://localhost:1/v1', model: m}"


@pytest.fixture
def linked(recipe: Path, tmp_path: Path) -> Path:
    """A recipe with a link to a folder of one private image."""
    (tmp_path / "private").mkdir()
    Image.new("RGB", (40, 36), "purple").save(tmp_path / "private" / "1.png")
    (tmp_path / "images" / "holiday").symlink_to(tmp_path / "private")
    return recipe


def test_run_refuses_to_send_what_links_lead_to(linked: Path, tmp_path: Path) -> None:
    with pytest.raises(LatteError, match="follow_links: true") as caught:
        run(linked, FAR)
    assert f"holiday/1.png, which is {tmp_path}/private/1.png" in caught.value.what
    assert "https://192.0.2.1/v1" in caught.value.what
    assert not list((tmp_path / "runs").rglob("results.json"))


@pytest.mark.parametrize("overrides", [(FAR, "dataset.follow_links=true"), (NEAR,), ()])
def test_links_are_followed_with_permission_or_on_this_machine(
    linked: Path, overrides: tuple[str, ...]
) -> None:
    _, _, progress = run(linked, *overrides, until="data")
    assert sum("1 of 13 images are outside" in line for line in progress.lines) == 1


def test_check_names_links_and_refuses_to_send_them(
    linked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["check", str(linked)]) == 0
    assert "warning: 1 of 13 images are outside" in capsys.readouterr().err
    assert run_command_line(["check", str(linked), "--set", FAR]) == 2
    assert "follow_links: true" in capsys.readouterr().err
    assert run_command_line(["describe", str(linked), "--set", FAR, "--shard", "1/2"]) == 2
    assert "follow_links: true" in capsys.readouterr().err
