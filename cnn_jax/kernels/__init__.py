"""Convolution and pooling as pure functions, each with the fastest lowering per platform."""
