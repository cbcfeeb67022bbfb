"""A first recipe for somebody's images: what is there, what to do with it, and why."""
