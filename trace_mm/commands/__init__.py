"""Subcommands of ``trace-mm``. Heavy imports wait until the arguments are known to be sound."""
