"""Scripts that rebuild the tiny CLIP and the demo image set of this package.

The scripts are not installed with the package; they are needed only to rebuild, audit or improve
the shipped files.
"""
