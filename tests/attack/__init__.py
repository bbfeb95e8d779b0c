"""A standing attack: wrong numbers, damaged files and hostile requests, by the hundred.

    python -m tests.attack                    all kinds, and a table
    python -m tests.attack --minutes=30       some of each kind
    python -m tests.attack artefacts --seed=1 --every=5

Each case has one right outcome: it works, or it is refused in one line.
"""
