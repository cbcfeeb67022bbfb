"""Run the stages of a recipe in order, and reuse stages whose inputs have not changed."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latte import distributed
from latte.data.few_images import warn_of_few
from latte.interfaces import Progress, RunResults, RunStart, StageEnd
from latte.interfaces.record import Source, StageRecord, StoredLoader
from latte.io.files import write_text
from latte.io.memory import keep_freed_memory, return_freed_memory
from latte.io.paths import relative
from latte.io.redaction import without_secrets
from latte.recipe.dump import dump_yaml, with_placeholders
from latte.recipe.model import BACKBONE, Recipe
from latte.registry.registry import Registry
from latte.registry.spec import USE
from latte.results.stages import STAGES
from latte.run.images import Images, changed_inputs, find_all_images
from latte.run.plan import DATA, EVALUATE, PLAN, REPORT, TRAIN
from latte.run.process import (
    describe_environment,
    deterministic,
    peak_memory_mb,
    share_folder,
    start_measuring,
    take_device,
)
from latte.run.profile import RunProfile, write_profile
from latte.run.ready import fetch_models
from latte.run.sending import check_sending
from latte.run.stages import Job, Stage, first_stages
from latte.run.workspace import Workspace, run_folder

_SAME_BITS = ("cpus", "platform", "seed")
"""Keys of the environment that do not affect results; no warning if they change."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage in the plan of a dry run."""

    name: str
    seconds: float | None
    """Seconds that the stage took in an earlier run; None if the stage will run again."""
    repeats: str | None = None
    """The part of a finished stage that will be repeated, such as `2 failed requests`, or None."""


def run_recipe(
    recipe: Recipe,
    registry: Registry,
    progress: Progress,
    *,
    until: str = STAGES[-1],
    limit: int | None = None,
    output: Path | None = None,
    ask_again: bool = False,
    profile: bool = False,
) -> RunResults | None:
    """Run the stages up to `until`; reuse finished stages whose inputs have not changed.

    At most `limit` training and evaluation images are used. The run folder is in `output`, or else
    in the recipe's `output`. `ask_again` repeats requests that describers refused in an earlier
    run. `profile` measures stages and steps, and writes `profile.json`. Returns the results after
    stage `report` in the main process, otherwise None.
    """
    folder = run_folder(recipe, limit, output)
    workspace = Workspace(recipe, registry, progress, folder, limit=limit)
    if distributed.world_size() > 1:
        progress.say(f"{distributed.world_size()} processes; progress shows the first one's share")
    with deterministic(recipe.deterministic), folder.lock(), workspace.listeners.run():
        if ask_again:
            folder.results.forget("describe")
        run_profile = RunProfile(workspace) if profile and distributed.is_main_process() else None
        results = _Runner(workspace, until, ask_again, run_profile).run()
        if run_profile is not None:
            write_profile(folder, run_profile)
        return results


def plan_run(
    recipe: Recipe, registry: Registry, progress: Progress, limit: int | None
) -> tuple[Path, list[PlannedStage]]:
    """Return the run folder, and for each stage whether it would be run or reused."""
    folder = run_folder(recipe, limit)
    workspace = Workspace(recipe, registry, progress, folder, limit=limit)
    job = Job(PLAN, workspace, find_all_images(workspace))
    planned = []
    for stage in PLAN:
        record = job.reusable(stage.name)
        seconds = record.seconds if record else None
        planned.append(PlannedStage(stage.name, seconds, job.to_repeat(stage.name)))
    return folder.path, planned


@dataclass
class _Runner:
    """Runs the stages of one run, up to the stage called `until`."""

    workspace: Workspace
    until: str
    ask_again: bool = False
    profile: RunProfile | None = None

    def __post_init__(self) -> None:
        self.folder, self.progress = self.workspace.folder, self.workspace.progress
        self.stages = first_stages(PLAN, self.until)

    def run(self) -> RunResults | None:
        keep_freed_memory()
        take_device(self.workspace.device)
        began = time.perf_counter()
        job = self._start()
        for stage in self.stages:
            if stage is REPORT:
                return self._report(job)
            # Stage `data` began with `_start`, which finds the images.
            self._stage(stage, job, began if stage is DATA else None)
            return_freed_memory()
        return None

    def _start(self) -> Job:
        share_folder(self.folder)
        recipe, registry = self.workspace.recipe, self.workspace.registry
        check_sending(recipe, self.workspace.dataset, registry)
        fetch_models(recipe, registry, self.folder, self.until)
        images = find_all_images(self.workspace)
        self._warn(images)
        distributed.barrier()  # no process reads the folder while its files are moved
        if distributed.is_main_process():
            self._move_aside(images)
        distributed.barrier()
        self.workspace.listeners.call(
            "on_run_start",
            RunStart(
                name=self.workspace.recipe.name,
                folder=self.folder.path,
                recipe=without_secrets(self.workspace.recipe.resolved),
                seed=self.workspace.seed,
                class_names=images.class_names,
            ),
        )
        job = Job(PLAN, self.workspace, images, self.ask_again)
        if distributed.is_main_process():
            recipe, limit = self.workspace.recipe, self.workspace.limit
            write_text(self.folder.recipe, dump_yaml(recipe.resolved))
            path, origins = recipe.path.absolute(), dict(recipe.origins)
            is_near = path.drive == self.folder.path.drive
            source = Source(
                recipe=str(path),
                recipe_from_run=os.path.relpath(path, self.folder.path) if is_near else None,
                limit=limit,
                backbone=self.workspace.backbone.identity(),
                loader=_stored_loader(recipe),
                plugin=_plugin_file(recipe, self.workspace.registry),
                values=recipe.resolved,
                origins=origins,
            )
            self.folder.results.begin(source)
            self._forget_changed(job)
            self._note_environment()
        return job

    def _warn(self, images: Images) -> None:
        if self.workspace.parent is not None:
            return
        dataset = self.workspace.dataset
        dataset_size = None if self.workspace.limit is None else len(dataset.training_images())
        few = warn_of_few(len(images.training.images), len(images.class_names), dataset_size)
        for warning in (*dataset.warnings(), *([few] if few else [])):
            self.progress.say(f"warning: {warning}")

    def _move_aside(self, images: Images) -> None:
        """Move a finished run to another folder if its images or class names have changed."""
        changed = changed_inputs(self.folder, images)
        moves = bool(changed) and self.folder.results.finished("evaluate") is not None
        moves = moves and self.workspace.parent is None
        self.folder.move_aside(wanted=moves)
        if changed:
            where = relative(self.folder.previous)
            self.progress.say(
                f"warning: {' and '.join(changed)} have changed since the earlier run in this "
                f"folder, so its results are {f'moved to {where}' if moves else 'replaced'}"
            )

    def _forget_changed(self, job: Job) -> None:
        """Delete the records of the first unfinished or changed stage and of all later stages."""
        for index, stage in enumerate(PLAN):
            if job.unchanged(stage.name):
                continue
            if stage_record := self.folder.results.finished(stage.name):
                code = stage.code(self.workspace.recipe)
                edited = [
                    name for name, old in stage_record.code.items() if code.get(name, old) != old
                ]
                whose = f"the code of {' and '.join(edited)} has" if edited else "its inputs have"
                self.progress.say(f"{stage.name}: {whose} changed, so it is done again")
            self.folder.results.forget(*(later.name for later in PLAN[index:]))
            return

    def _note_environment(self) -> None:
        """Record the environment unless training is finished; warn if it has changed."""
        environment = describe_environment(self.workspace.recipe, self.workspace.device)
        finished_stages = [stage for stage in PLAN if self.folder.results.finished(stage.name)]
        stages_of_models = [stage for stage in self.stages if stage is not REPORT]
        earlier_environment = self.folder.results.read().environment
        if earlier_environment and 0 < len(finished_stages) < len(stages_of_models):
            old_values, new_values = _flattened(earlier_environment), _flattened(environment)
            common = old_values.keys() & new_values.keys() - {*_SAME_BITS}
            changed = sorted(name for name in common if old_values[name] != new_values[name])
            old, new = (
                ", ".join(f"{name} {values[name]}" for name in changed)
                for values in (old_values, new_values)
            )
            if changed:
                self.progress.say(
                    f"warning: this run started with {old} and resumed with {new}, so results may "
                    "not be bit-identical"
                )
        if not earlier_environment or TRAIN not in finished_stages:
            self.folder.results.note_environment(environment)

    def _stage(self, stage: Stage[Any], job: Job, began: float | None = None) -> None:
        """Run a stage and record it, or reuse it.

        `began` is the time at which the stage began, if it began before this call.
        """
        name, listeners = stage.name, self.workspace.listeners
        record = job.reusable(name)
        earlier_seconds = distributed.broadcast(lambda: None if record is None else record.seconds)
        if earlier_seconds is not None:
            self.progress.say(f"{name}: reused, done before in {earlier_seconds:.1f} s")
            listeners.call("on_stage_end", StageEnd(name, earlier_seconds, reused=True))
            if self.profile is not None and record is not None:
                self.profile.stages[name] = (record, True)
            return
        if repeated := job.to_repeat(name):
            self.progress.say(f"{name}: repeats {repeated} of an earlier run")
        listeners.call("on_stage_start", name)
        began = time.perf_counter() if began is None else began
        device = self.workspace.device
        start_measuring(device)
        with self.profile.stage(name) if self.profile else nullcontext():
            done = stage.make(job)
        seconds = round(time.perf_counter() - began, 3)
        record = StageRecord(
            fingerprint=job.fingerprints[name],
            seconds=seconds,
            outputs=tuple(self.folder.relative(path) for path in done.outputs),
            peak_memory_mb=peak_memory_mb(device),
            code=stage.code(self.workspace.recipe),
        )
        self.folder.results.finish(name, record, done.facts)
        if repeated and distributed.is_main_process():
            self._note_environment()  # later stages may be done again
        listeners.call("on_stage_end", StageEnd(name, seconds, reused=False))
        if self.profile is not None:
            self.profile.stages[name] = (record, False)
        distributed.barrier()

    def _report(self, job: Job) -> RunResults | None:
        job.free_results()  # controls need the memory; the report reads the run folder
        self._run_controls()
        results = job.result(REPORT) if distributed.is_main_process() else None
        self._stage(REPORT, job)
        return results

    def _run_controls(self) -> None:
        """Run the controls, and record the models that they use as models of this run."""
        records = {}
        for name, recipe in self.workspace.recipe.controls.items():
            self.progress.say(f"control {name}")
            folder = run_folder(recipe, self.workspace.limit, self.folder.controls / name)
            try:
                with folder.lock():
                    control = self.workspace.control(recipe, folder)
                    _Runner(control, EVALUATE.name).run()
            except KeyboardInterrupt as stopped:
                stopped.add_note(f"only control {name} was interrupted")
                raise
            if distributed.is_main_process():
                records[name] = folder.results.read()
        if distributed.is_main_process():
            self.folder.results.note_controls(records)


def _plugin_file(recipe: Recipe, registry: Registry) -> str | None:
    """Return the path of the file with components of the recipe; None if it uses none."""
    plugin = registry.plugin_file
    uses = plugin is not None and any(
        choice.distribution == plugin.distribution for choice in recipe.choices
    )
    return plugin.file if plugin is not None and uses else None


def _stored_loader(recipe: Recipe) -> StoredLoader:
    options = {name: value for name, value in recipe.resolved[BACKBONE].items() if name != USE}
    return StoredLoader(use=recipe.backbone.full_name, options=with_placeholders(options))


def _flattened(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return an environment with the versions of its packages and plugins as separate values."""
    values: dict[str, Any] = {}
    for name, value in environment.items():
        versions = value if isinstance(value, Mapping) else {}
        values |= {f"{name}.{package}": version for package, version in versions.items()}
        values |= {} if versions else {name: value}
    return values
