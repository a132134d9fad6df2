"""Static quantization: a transformed graph and calibration samples to an integer program."""
