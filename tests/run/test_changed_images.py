"""Images that are edited while a run works are never cached under the key of the old content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from latte.cli.main import run_command_line
from latte.run import runner
from tests.helpers.whole_runs import assert_same_results, run

pytestmark = pytest.mark.thorough


@pytest.fixture
def no_image_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cache no pixels on disk, so that a run reads images again after its scan."""
    monkeypatch.setenv("LATTE_IMAGE_CACHE", "0")


@pytest.mark.usefixtures("no_image_cache")
def test_image_edited_after_the_scan_ends_the_run_and_no_feature_is_cached(
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(recipe, until="data")  # later scans decode no image that this one has decoded
    photo = min((tmp_path / "images" / "part-0").iterdir())
    original_bytes = photo.read_bytes()
    original = runner.find_all_images

    def find_and_edit(workspace: Any) -> Any:
        images = original(workspace)
        Image.new("RGB", (40, 36), "purple").save(photo, format="PNG")
        return images

    with monkeypatch.context() as patch:
        patch.setattr(runner, "find_all_images", find_and_edit)
        assert run_command_line(["run", str(recipe), "--quiet"]) == 2
    error_output = capsys.readouterr().err
    assert (
        f"part-0/{photo.name}: this image was changed while the command was running" in error_output
    )
    assert "Run the same command again" in error_output
    photo.write_bytes(original_bytes)
    repeated, _, _ = run(recipe)
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "other-cache"))
    undisturbed, _, _ = run(recipe, output=tmp_path / "undisturbed")
    assert_same_results(repeated, undisturbed)
