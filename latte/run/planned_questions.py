"""Questions that a recipe would ask its describers, for `latte describe --dry-run`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from latte.describe.choose import stored_tokens
from latte.describe.inventory import Archive
from latte.describe.store import DescriptionStore
from latte.interfaces import Progress
from latte.interfaces.settings import SpendingSettings
from latte.io.memory import keep_freed_memory
from latte.models.zero_shot import ZeroShot
from latte.recipe.model import Recipe
from latte.registry.registry import Registry
from latte.run.describing import build_descriptions, planned_requests, training_set
from latte.run.fitting import build_questions, training_start
from latte.run.images import Images, find_all_images
from latte.run.workspace import Workspace, description_folder, run_folder
from latte.run.zero_shot import compute_zero_shot
from latte.train.fit import Method, fit


@dataclass(frozen=True)
class MeanTokens:
    """Mean numbers of tokens per request, over the stored answers of one describer."""

    input: float
    output: float
    answers: int
    """Number of stored answers with token counts."""


@dataclass(frozen=True)
class PlannedQuestions:
    """Number of questions that one description needs, or that a labeler asks for one purpose."""

    describer: str
    purpose: str
    questions: int
    stored: int
    tokens: MeanTokens | None
    """Tokens of the describer's earlier answers; None if no stored answer has token counts."""

    @property
    def to_ask(self) -> int:
        """Number of questions without a stored answer."""
        return self.questions - self.stored


def plan_questions(
    recipe: Recipe, registry: Registry, progress: Progress, limit: int | None
) -> list[PlannedQuestions]:
    """Return the questions that the recipe would ask, without asking them.

    A labeler chooses its questions by earlier answers. Only stored answers are known here, so the
    run may ask other questions.
    """
    keep_freed_memory()
    workspace = Workspace(recipe, registry, progress, run_folder(recipe, limit), limit=limit)
    images = find_all_images(workspace)
    inputs = workspace, images.joined, compute_zero_shot(workspace, images).joined
    return [*_of_descriptions(*inputs), *_of_labeler(*inputs)]


def cost_of(planned: Sequence[PlannedQuestions], prices: SpendingSettings) -> float | None:
    """Return the expected price of the questions to ask; None if a describer's tokens are unknown.

    A describer without stored answers has unknown tokens; a run tells them after ten requests.
    """
    costs = [
        questions.to_ask
        * (questions.tokens.input * prices.input + questions.tokens.output * prices.output)
        for questions in planned
        if questions.tokens is not None
    ]
    return sum(costs) / 1e6 if costs and len(costs) == len(planned) else None


def _of_descriptions(
    workspace: Workspace, images: Images, zero_shot: ZeroShot
) -> Iterator[PlannedQuestions]:
    training = training_set(workspace, images, zero_shot)
    descriptions = build_descriptions(workspace, images.template)
    with planned_requests(workspace, training, descriptions) as (plans, describers):
        tokens = {
            name: _stored_mean(describer.fingerprint) for name, describer in describers.items()
        }
    with DescriptionStore(description_folder()) as store:
        for name, plan in plans.items():
            for label, planned in plan.descriptions.items():
                rows = {row for subject_rows in planned.rows for row in subject_rows}
                stored = sum(store.is_answered(plan.key(row)) for row in rows)
                yield PlannedQuestions(name, label, len(rows), stored, tokens[name])


def _of_labeler(
    workspace: Workspace, images: Images, zero_shot: ZeroShot
) -> Iterator[PlannedQuestions]:
    questions = build_questions(workspace, images, zero_shot, ask=False)
    describer = workspace.recipe.questioned
    if questions is None or describer is None:
        return
    (labeler_choice,) = (
        choice for choice in workspace.recipe.labels if choice.options.questions_to is not None
    )
    learner = workspace.recipe.learners[0]
    method = Method(
        {labeler_choice.label: workspace.build(labeler_choice)},
        {learner.name: workspace.build(learner.prototypes)},
    )
    fit(method, training_start(workspace, images, zero_shot, questions))
    questions.close()
    tokens = _stored_mean(questions.fingerprint)
    for counts in questions.counts:
        yield PlannedQuestions(
            describer.label, counts.purpose, counts.questions, counts.stored, tokens
        )


def _stored_mean(fingerprint: str) -> MeanTokens | None:
    """Return the mean tokens of a describer's stored answers to questions; None if not counted."""
    counted = [
        tokens
        for stored_text in Archive(description_folder()).texts()
        if stored_text.record.describer.partition(" ")[2] == fingerprint
        and any(tokens := stored_tokens(stored_text.record.text) or (0, 0))
    ]
    if not counted:
        return None
    read, written = (sum(counts) / len(counted) for counts in zip(*counted, strict=True))
    return MeanTokens(read, written, len(counted))
