"""Interface of gates: filters that hold back (exclude from training) unusable texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import model_validator
from pydantic.dataclasses import dataclass as checked_dataclass

from latte.interfaces.checked import CHECKED, Count
from latte.interfaces.component import Component, OptionsT
from latte.interfaces.descriptions import Scope


@dataclass(frozen=True)
class GatedText:
    """One text that a describer wrote, with its question and the class of its images.

    Attributes:
        text: One printable line; never empty.
        class_name: Zero-shot class of the described images.
        prompt: Question that the text answers.

    Example:
        >>> from latte.api import GatedText
        >>> GatedText("a grey cat", class_name="cat", prompt="What is shown?").text
        'a grey cat'
    """

    text: str
    class_name: str
    prompt: str


@dataclass(frozen=True)
class GateSubject:
    """Context that all texts of one `Gate.judge` call share: description, scope, class names.

    Attributes:
        description: The description's name in the recipe.
        scope: `image` or `group`; texts of scope `class` come from the recipe and are not judged.
        class_names: All classes, in label order.

    Example:
        >>> from latte.api import GateSubject
        >>> GateSubject("caption", scope="image", class_names=("cat", "dog")).scope
        'image'
    """

    description: str
    scope: Scope
    class_names: tuple[str, ...]


@checked_dataclass(frozen=True, config=CHECKED)
class HeldBack:
    """Number of texts that one gate held back (filtered out), among the texts of a description.

    Attributes:
        description: The description's name in the recipe.
        gate: The gate's name in the recipe.
        texts: Number of texts before the first gate.
        held_back: Number of texts that this gate held back and that earlier gates let pass.
        reason: Reason for holding back `example`; None if no text was held back.
        example: The first text that was held back; None if no text was held back.

    Example:
        >>> from latte.api import HeldBack
        >>> HeldBack("image", "length", texts=100, held_back=3, reason="1 word").held_back
        3
    """

    description: str
    gate: str
    texts: Count
    held_back: Count
    reason: str | None = None
    example: str | None = None

    @model_validator(mode="after")
    def _check(self) -> HeldBack:
        if self.held_back > self.texts:
            raise ValueError("a gate held back more texts than there are")
        return self


class Gate(Component[OptionsT]):
    """Filters a describer's texts before training, without changing the texts.

    A text that a gate holds back is treated like a refusal of the describer. The text stays stored,
    so that a run with other gates can use it.

    Example:
        >>> from collections.abc import Sequence
        >>> from latte.api import Gate, GatedText, GateSubject, NoOptions
        >>> class NoQuestions(Gate[NoOptions]):
        ...     def judge(
        ...         self, texts: Sequence[GatedText], subject: GateSubject
        ...     ) -> list[str | None]:
        ...         return ["it is a question" if "?" in gated.text else None for gated in texts]
    """

    @abstractmethod
    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> Sequence[str | None]:
        """Return one verdict per text, in order: None if the text passes, else a short reason.

        `texts` has the answers to all distinct questions of one description, without those that
        earlier gates held back. Equal texts must always get equal verdicts.
        """
