"""Datasets, their order, and augmentation on the device."""
