"""The machine in C++."""
