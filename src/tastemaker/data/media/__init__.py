"""Media: pictures, clips and sounds in columns of a catalogue, as numbers. What cannot be used is told, never raised."""
