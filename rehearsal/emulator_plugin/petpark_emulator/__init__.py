"""What LocalStack's community core lacks or gets wrong, for petpark's rehearsal.

Runs inside LocalStack's own environment and uses nothing but that environment and the standard library. Each module
says what AWS does and what the emulator did instead; `docs/design/emulator.md` tells how the pieces are found and
started.
"""
