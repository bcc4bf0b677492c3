"""What this project trains: each file declares ``EXPERIMENTS`` or ``STUDY``."""
