"""The learners of a recipe: several that it lists, or the single one `main`."""

from __future__ import annotations

from dataclasses import dataclass

from latte.interfaces.settings import LearnerSettings
from latte.recipe.components import Components, is_label, unusable_label
from latte.recipe.layout import LEARNERS, ONE_LEARNER
from latte.recipe.mistakes import EXPECTED, Mistakes, wrong_type
from latte.recipe.model import LearnerChoice
from latte.recipe.node import KeyPath, Node
from latte.recipe.settings import Validator

_COMPONENTS = ("prototypes", "loss")


@dataclass(frozen=True)
class LearnerReader:
    """Reads the learners of the recipe `root`."""

    root: Node
    components: Components
    validator: Validator

    @property
    def mistakes(self) -> Mistakes:
        """Where mistakes go."""
        return self.validator.mistakes

    def read(self) -> tuple[LearnerChoice | None, ...]:
        """Every learner; None in place of one that is wrong and was reported."""
        node = self.root.child(LEARNERS)
        if node is None:
            return (self._main(),)
        self._refuse_both()
        if not isinstance(node.value, list):
            self.mistakes.add(node.origin, (LEARNERS,), *wrong_type([EXPECTED["list_type"]], node))
            return (None,)
        if not node.value:
            self.mistakes.add(node.origin, (LEARNERS,), "needs at least one learner")
            return (None,)
        return tuple(self._listed(item, index) for index, item in enumerate(node.value))

    def require_losses(self) -> None:
        """Report each learner that is to be trained without a loss."""
        node = self.root.child(LEARNERS)
        items = [*node.items()] if node else []
        learners = (
            [((LEARNERS, index), item) for index, item in items] if node else [((), self.root)]
        )
        for path, learner in learners:
            loss = learner.child("loss")
            if isinstance(learner.value, dict) and (loss is None or loss.value is None):
                self.mistakes.add(
                    learner.origin,
                    (*path, "loss"),
                    'training needs a loss, and the key "loss" is missing',
                    "Add loss: contrastive, or train: {max_steps: 0} to train nothing.",
                )

    def _main(self) -> LearnerChoice | None:
        trainable = self.root.child("trainable")
        own = Node({"trainable": trainable} if trainable else {}, self.root.origin)
        settings = self.validator.validated(LearnerSettings, own, ())
        return self._with_components(settings, ())

    def _listed(self, node: Node, index: int) -> LearnerChoice | None:
        path = (LEARNERS, index)
        own = node
        if isinstance(node.value, dict):
            own = node.replaced("prototypes", None).replaced("loss", None)
        settings = self.validator.validated(LearnerSettings, own, path, reserved=_COMPONENTS)
        if settings and not is_label(settings.name):
            self.mistakes.add_at(self.root, (*path, "name"), *unusable_label(settings.name))
            return None
        return self._with_components(settings, path)

    def _with_components(
        self, settings: LearnerSettings | None, path: KeyPath
    ) -> LearnerChoice | None:
        prototypes = self.components.choice((*path, "prototypes"))
        loss = self.components.choice((*path, "loss"))
        if settings is None or prototypes is None:
            return None
        return LearnerChoice(settings, prototypes, loss)

    def _refuse_both(self) -> None:
        for key in ONE_LEARNER:
            node = self.root.child(key)
            if node is not None:
                self.mistakes.add(
                    node.origin,
                    (key,),
                    f'"{key}" cannot stand beside "learners": each learner has its own',
                    f'Move "{key}" into the learners, or remove "learners".',
                )
