"""Which settings to try next, within which budget, and which were best: pure decisions, without a cloud."""
