"""The figures of a report: each function draws one from plain numbers, in the style of `style.py`."""
