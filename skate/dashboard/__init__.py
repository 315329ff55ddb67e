"""Older paths of `skate.job_submission`."""
