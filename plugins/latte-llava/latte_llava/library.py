"""The module transformers, untyped: its annotations are partial and differ between versions."""

from __future__ import annotations

from typing import Any

import transformers as _transformers

transformers: Any = _transformers
