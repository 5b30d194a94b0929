"""Builds ``frontrow_kernel`` of all that is in ``src``, for the interpreter that runs this."""

from pathlib import Path

from setuptools import Extension, setup

_HERE = Path(__file__).parent

setup(
    ext_modules=[
        Extension(
            "frontrow_kernel",
            sources=[str(file.relative_to(_HERE)) for file in sorted((_HERE / "src").glob("*.c"))],
            depends=["src/kernel.h", "src/writing.h"],
            # The same bits as Python's arithmetic: no operation is fused with another (-ffp-contract), and pow() is
            # the library's, never a product in its place (-fno-builtin-pow).
            extra_compile_args=[
                "-O2", "-std=c11", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Wno-cast-function-type",
                "-fno-strict-aliasing", "-ffp-contract=off", "-fno-builtin-pow",
            ],
        )
    ],
    packages=[],
)  # fmt: skip
