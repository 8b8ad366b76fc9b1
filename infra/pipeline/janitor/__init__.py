"""The state machine `janitor`: ends what was left, and settles reservations of the month."""
