"""Former place of the contract tests, which are in the package latte-author now."""

raise ImportError(
    "latte.testing is now latte_author.testing: pip install latte-author", name="latte.testing"
)
