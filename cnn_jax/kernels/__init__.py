"""Convolution and pooling as pure functions, the fastest lowering per platform."""
