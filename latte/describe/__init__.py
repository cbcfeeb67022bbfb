"""Descriptions: plan requests, ask describers, store and filter texts, pass them to training."""
