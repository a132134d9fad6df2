"""Machines that run integer programs, equal to the bit."""
