"""Near-duplicate photos: perceptual hashes that differ in few bits."""
