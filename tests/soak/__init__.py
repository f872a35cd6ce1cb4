"""What the guarantees of docs/guarantees.md rest on: kills, faults, hostile files, fuzzing.

`make soak` runs all of it at full length; the tests run a little of it.
"""
