"""Descriptions: the plan of requests, the stage that asks, the store, gates, and the bank."""
