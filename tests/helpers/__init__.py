"""Inputs, doubles and runs that several tests share."""
