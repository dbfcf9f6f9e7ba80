"""Models: one public class a file, the file name is the name in a config."""
