"""Many pictures in one command.

Here are the pictures that are meant, the plan of all, the workers that make the runs, and the record of what
became of each. Nothing here ever decides anything about a single run.
"""
