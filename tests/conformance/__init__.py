"""Every meaning of the public API as a test that runs on every engine; see ``support.py`` for how gaps are stated."""
