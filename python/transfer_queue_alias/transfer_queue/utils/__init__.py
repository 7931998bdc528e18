"""Modules of the peer that users import."""
