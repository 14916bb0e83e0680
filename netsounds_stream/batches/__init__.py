"""Many pictures in one command: which are meant, what they will take, the workers, and the record of what
became of each.

Nothing here ever decides anything about a single run.
"""
