"""A standing attack: wrong numbers, damaged files and hostile requests, by the hundred.

    python -m tests.attack                    all kinds, and a table
    python -m tests.attack requests --seed=1  one kind, other values

Each case has one right outcome: it works, or it is refused in one line.
"""
