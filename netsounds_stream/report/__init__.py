"""What is seen of a run: pictures of filters, charts, sounds for browsers, the report page with its scripts
and styles in `assets/`, plots and galleries.

Nothing here ever changes what a run sounds like.
"""
