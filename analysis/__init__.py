"""From records to answers, without torch: tidy tables, tests that stay honest for few classes and few slides, verdicts.

The way in is `analysis.pipeline.analyze_study`. Nothing is imported here, so that importing the package costs nothing.
"""
