"""Arithmetic of real numbers with the same bits on every machine: what is summed has an order.

The order is stated in ``docs/numbers.md``. It holds on CPUs where the native machine was built, and
where no gradients are asked for; elsewhere torch computes the same in an order of its own.
"""
