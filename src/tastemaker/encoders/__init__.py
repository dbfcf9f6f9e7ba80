"""Encoders: vectors of what items are, from text, images, sound, attributes or use; one file each, its name is the name in a config."""
