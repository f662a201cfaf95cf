"""Adapting a language model to another language, measured: the package behind the workflow."""
