"""Compile the library, for every Python at once: ctypes loads it, and it uses no header of Python.

With the environment variable LATTE_VIEWS_PURE=1, the wheel has no library and fits every system;
Pillow then makes the views. Everything else is in pyproject.toml.
"""

from __future__ import annotations

import os

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

IS_PURE = os.environ.get("LATTE_VIEWS_PURE") == "1"
LIBRARY = Extension(
    "latte_views._views",
    ["latte_views/views.c"],
    # -fno-wrapv undoes the -fwrapv that Python adds to CFLAGS, which costs a fifth of the speed.
    extra_compile_args=[
        *("-O3", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
        "-fno-wrapv",
    ],
    libraries=["m"],
    # Without a C compiler, the package is installed without its library.
    optional=True,
)


class PlainName(build_ext):
    """Build the library under a name that every Python finds."""

    def get_ext_filename(self, fullname: str) -> str:
        """Return its path in the package."""
        return f"{fullname.replace('.', '/')}.abi3.so"


class AnyPython(bdist_wheel):
    """A wheel for any Python 3 on one system, or on any system if it is pure."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return the tags of Python, of its binary interface and of the system."""
        return "py3", "none", "any" if IS_PURE else super().get_tag()[2]


setup(
    ext_modules=[] if IS_PURE else [LIBRARY],
    cmdclass={"bdist_wheel": AnyPython, "build_ext": PlainName},
)
