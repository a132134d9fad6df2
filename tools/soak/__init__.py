"""Feeds the reader of every kind of input with damaged ones, for as long as it is given.

    python -m soak [--minutes 10] [--seed 0] [--only KIND ...] [--out build/soak]
    python -m soak --only KIND --case NUMBER

What must hold whatever the input: no crash, no hang above 5 seconds, no memory above 1 GiB, and
no error that is not a :class:`vlmforge.errors.VlmforgeError`. An input follows from the seed, its
kind and its number alone; ``--case`` tries a single one again, in the process itself.
"""
