"""What LocalEmu needs for petpark's rehearsal. Runs inside LocalEmu's own environment."""
