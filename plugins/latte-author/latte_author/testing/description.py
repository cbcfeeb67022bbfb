"""Contract tests of description types, which define questions: scope, prompts, group sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, get_args

from latte.api import DescriptionType, Kind, Scope
from latte_author.testing.component import ComponentContract
from latte_author.testing.fixtures import HOSTILE_NAMES


class DescriptionTypeContract(ComponentContract):
    """Tests of a description type: its scope, its group sizes, and prompts for unusual names.

    Example:
        >>> from latte_author.testing import DescriptionTypeContract
        >>> class TestBackground(DescriptionTypeContract):
        ...     component = "background"
    """

    kind: ClassVar[Kind] = "description"

    def test_it_has_a_scope(self, tmp_path: Path) -> None:
        """The scope must be `class`, `image` or `group`.

        If the options class has an attribute `scope`, the two must be equal.
        """
        description: DescriptionType[Any] = self.make(tmp_path)
        scopes = get_args(Scope)
        assert description.scope in scopes, f"the scope must be one of {', '.join(scopes)}"
        option_scope = getattr(type(description.options), "scope", description.scope)
        assert option_scope == description.scope, f"the options say scope {option_scope}"

    def test_only_groups_show_several_images(self, tmp_path: Path) -> None:
        """`group_size` must be at least 2 for scope `group`, and 1 for other scopes."""
        description: DescriptionType[Any] = self.make(tmp_path)
        if description.scope == "group":
            assert description.group_size >= 2, "a group must show at least 2 images"
        else:
            assert description.group_size == 1, "group_size must be 1 unless the scope is group"

    def test_labels_are_used_only_where_options_ask_for_them(self, tmp_path: Path) -> None:
        """`correct_images` uses true labels: it must be None unless an oracle option is set."""
        description: DescriptionType[Any] = self.make(tmp_path)
        oracle_keys, options = description.options.oracle_options, description.options
        for key in oracle_keys:
            assert key in type(options).model_fields, f"oracle_options names {key}, no option"
        correct = description.correct_images
        if correct is not None:
            has_oracle = any(getattr(options, key) is not None for key in oracle_keys)
            assert has_oracle, "correct_images is set, and none of the oracle_options is"
            largest_group = description.group_size if description.scope == "group" else 0
            assert 0 <= correct <= largest_group, (
                f"correct_images is {correct}, in a group of {largest_group}"
            )

    def test_a_prompt_is_never_empty(self, tmp_path: Path) -> None:
        """The prompt must not be empty for any class name, and must be equal in each call."""
        description: DescriptionType[Any] = self.make(tmp_path)
        for name in HOSTILE_NAMES:
            prompt = description.prompt(name)
            assert isinstance(prompt, str), f"the prompt for {name!r} must be a str"
            assert prompt.strip(), f"the prompt for {name!r} is empty"
            assert description.prompt(name) == prompt, f"two prompts for {name!r}"

    def test_all_prompts_begin_with_the_first(self, tmp_path: Path) -> None:
        """`prompts` must begin with `prompt` and have no duplicates.

        The numbers `samples`, `weight` and `groups_per_class` must be in range.
        """
        description: DescriptionType[Any] = self.make(tmp_path)
        prompts = [*description.prompts("cat")]
        assert prompts[:1] == [description.prompt("cat")], "prompts must begin with prompt"
        assert len({*prompts}) == len(prompts), "a prompt stands twice among prompts"
        assert all(prompt.strip() for prompt in prompts[1:]), "one of prompts is empty"
        assert description.samples >= 1, "samples must be at least 1"
        assert 0 < description.weight < float("inf"), "weight must be above 0, and finite"
        groups = description.groups_per_class
        assert groups is None or groups >= 1, "groups_per_class must be at least 1, or None"

    def test_class_names_arrive_unchanged(self, tmp_path: Path) -> None:
        """A prompt must contain the class name unchanged, even if the name has braces."""
        description: DescriptionType[Any] = self.make(tmp_path)
        if description.prompt("cat") == description.prompt("dog"):
            assert description.scope != "class", "two classes must not share a description"
            return
        for name in HOSTILE_NAMES:
            assert name in description.prompt(name), f"{name!r} is not in its own prompt"
