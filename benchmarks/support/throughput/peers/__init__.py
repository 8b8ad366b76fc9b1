"""The same classifier in servers that a user would pick instead; they run in `.venv-benchmarks`, not in ours."""
