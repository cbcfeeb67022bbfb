"""The module transformers as `Any`, as its annotations are partial and vary between versions."""

from __future__ import annotations

from typing import Any

import transformers as _transformers

transformers: Any = _transformers
