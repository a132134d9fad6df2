"""The files the stages hand to each other: no arithmetic here, and nothing pickled."""
