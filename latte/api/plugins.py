"""Installed plugins and their components, for tools that write, check and test plugins.

Importing this module loads no torch, and no plugin.
"""

from latte.registry.discovery import discover_plugins
from latte.registry.registry import INTERFACES, Registry, load_registry
from latte.registry.spec import BUILTIN_DISTRIBUTION, Plugin, Registered, reserved_keys

__all__ = [
    "BUILTIN_DISTRIBUTION",
    "INTERFACES",
    "Plugin",
    "Registered",
    "Registry",
    "discover_plugins",
    "load_registry",
    "reserved_keys",
]
