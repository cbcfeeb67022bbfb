"""Scripts that remake the tiny CLIP and the demo image set of this package.

They are not installed with the package: only those who want to rebuild, audit or
improve the shipped files need them.
"""
