"""What people see of a run: images, charts, browser forms of sounds, the report page, plots and galleries.

`assets/` holds the page's templates, style sheets and scripts. Code here never changes a run's sound.
"""
