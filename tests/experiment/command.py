"""``cnn-jax``, with checkpoints as often and steps as slow as a test needs them.

python -m tests.experiment.command CHECKPOINT_SECONDS STEP_SECONDS ARGUMENTS...
"""

import signal
import sys
import time

from cnn_jax.cli import main
from cnn_jax.experiment.declaration import Where
from cnn_jax.training.run_directory import StepCounter


def run_command():
    checkpoint_seconds, step_seconds = map(float, sys.argv[1:3])
    Where.__init__.__kwdefaults__["checkpoint_seconds"] = checkpoint_seconds
    count = StepCounter.add

    def count_slowly(self, steps):
        count(self, steps)
        time.sleep(step_seconds)

    StepCounter.add = count_slowly
    # What a shell starts in the background ignores it, and so do all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return main(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(run_command())
