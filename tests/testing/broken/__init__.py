"""Components with one fault each, and the tests of a contract that must find it.

pytest does not collect these files by itself; `test_broken.py` runs them.
"""
