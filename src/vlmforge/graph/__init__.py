"""The floating-point program of a component: values, nodes and lazily loaded weights."""
