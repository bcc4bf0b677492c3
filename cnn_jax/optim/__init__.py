"""Schedules and optimizers in the papers' terms."""
