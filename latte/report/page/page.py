"""Show the report of a run as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from latte.interfaces import RunModel, RunResults
from latte.io.redaction import as_yaml, printable
from latte.report import facts
from latte.report.accuracy import measured_models
from latte.report.charts import IntervalRow, interval_chart, percent_tick, points_tick
from latte.report.html import html_page
from latte.report.numbers import percent, points
from latte.report.outcome import photos
from latte.report.page.classes import MOST_CLASSES, class_changes
from latte.report.page.confusion import confusions
from latte.report.page.curves import curves
from latte.report.page.first_screen import doubtful_command, first_screen
from latte.report.page.gallery import gallery
from latte.report.page.labels import flows, label_counts, moved_prototypes
from latte.report.page.mistakes import image_lists
from latte.report.page.photo_map import map_content
from latte.report.page.sheets import copies_sentence, sheets
from latte.report.page.skipped import skipped_files
from latte.report.page.teaching import teaching_steps
from latte.report.statements import details, folder_name, outcome

_TEMPLATES = Path(__file__).parent / "templates"


def run_page(results: RunResults, *, gallery_images: int = 60, thumbnail_size: int = 160) -> str:
    """Return the report of a run as an HTML page.

    Args:
        results: the results of a run, which reporters receive.
        gallery_images: largest number of training images in the gallery.
        thumbnail_size: length of the longer side of a thumbnail in pixels.

    Example:
        from latte.api import run_page, write_text

        def report(self, results):
            path = results.folder / "report" / "index.html"
            write_text(path, run_page(results, gallery_images=20))
            return [path]
    """
    recipe, run = results.record.recipe, folder_name(results)
    said = outcome(results, run)
    first = first_screen(results, said)
    is_measured = bool(measured_models(results.record).models)
    sheets_of_classes = sheets(results)
    # Without texts, the gallery would only repeat the contact sheets.
    has_texts = any(entry.descriptions for entry in results.gallery)
    gallery_images = gallery_images if has_texts or not sheets_of_classes else 0
    content = {
        "results": results,
        "title": facts.page_title(results),
        "name": facts.run_title(results.record),
        "statements": details(results, run),
        "first": first,
        "photos": photos(results),
        "map": map_content(results, first["hues"]),
        "doubtful_command": doubtful_command(results, run),
        "has_texts": has_texts and gallery_images > 0,
        "skipped": skipped_files(results),
        "skipped_images": results.record.data.skipped_images,
        "sheets": sheets_of_classes,
        "sheetless": sum(adapted > 0 for _, adapted in results.pseudo_label_counts)
        - len(sheets_of_classes),
        "copies": copies_sentence(results),
        **_charts(results.record.evaluate.models),
        "facts": facts.run_facts(results),
        "curves": curves(results),
        "changes": class_changes(results),
        "most_classes": MOST_CLASSES,
        "labels": label_counts(results.record.data.class_names, results.pseudo_label_counts),
        "confusions": confusions(results),
        "flows": flows(results),
        "prototypes": moved_prototypes(results) if is_measured else [],
        "gates": results.record.describe.held_back,
        "teaching": teaching_steps(results),
        "gallery": gallery(results, gallery_images, thumbnail_size),
        "method": facts.method_facts(recipe),
        "loading": facts.loading_code(results.folder, recipe)
        if facts.backbone_use(recipe) is None and results.record.judge.used == "adapted"
        else None,
        "recipe": as_yaml(recipe),
        "environment": as_yaml(results.record.environment),
        "image_lists": image_lists(results),
    }
    return html_page(_TEMPLATES, "filter.js", content)


def _charts(models: Sequence[RunModel]) -> dict[str, Markup | None]:
    accuracies, gains = list[IntervalRow](), list[IntervalRow]()
    for model in models:
        for title, evaluation in model.accuracies():
            name, images = printable(title), evaluation.images
            accuracy = percent(evaluation.top1.value, images)
            accuracies.append(IntervalRow(name, evaluation.top1, accuracy, model.role))
            if evaluation.gain:
                gain = points(evaluation.gain.value, images)
                gains.append(IntervalRow(name, evaluation.gain, gain, model.role))
    label = "Top-1 accuracy with 95 % intervals; the table has the same numbers"
    gain_label = (
        "Gain over zero-shot in percentage points with 95 % intervals; the line is no change"
    )
    return {
        "accuracy_chart": interval_chart(accuracies, label, percent_tick) if accuracies else None,
        "gain_chart": interval_chart(gains, gain_label, points_tick, reference=0.0)
        if gains
        else None,
    }
