"""Rankers: one public class a file; the file's name is the ranker's name in a config."""
