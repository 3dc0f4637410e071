"""Pages of `docs/` that are generated, never written by hand: `python -m docs.generate` writes them all.

The facts stand where they are used: keys of the study file in the classes that validate it, options in the commands,
formulas on the cards of the methods, the meaning of a verdict beside its word.
"""
