"""The module transformers, typed as `Any`: its annotations are partial and vary by version."""

from __future__ import annotations

from typing import Any

import transformers as _transformers

transformers: Any = _transformers
