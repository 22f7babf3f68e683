"""Commands, console output and the one error boundary."""
