"""Weights in and out: torchvision, Keras, safetensors."""

from cnn_jax.weights.load import LoadedWeights as LoadedWeights
from cnn_jax.weights.load import load_weights as load_weights
