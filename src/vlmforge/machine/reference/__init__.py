"""The machine in NumPy, one instruction a function."""
