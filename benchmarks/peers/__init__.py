"""Other projects' code, run beside ours."""
