"""Images: bytes to pixels to face crops."""
