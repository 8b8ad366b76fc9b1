"""What MiniStack needs for petpark's rehearsal. Runs inside MiniStack's own environment."""
