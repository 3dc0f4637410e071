"""From a study file to finished records."""
