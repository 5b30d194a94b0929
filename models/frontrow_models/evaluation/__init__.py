"""The judge: what served numbers were worth, once outcomes are known. Pure and deterministic; numpy, and River's ADWIN.

Everything is judged on what was stored when it was served, on mature labels. ``ranking`` and ``reliability`` are
functions over arrays; ``rolling`` keeps the last labels and asks the same functions; ``paired``, ``duel`` and
``verdict`` compare two models; ``guard`` says when one must go back. Nothing here learns.
"""
