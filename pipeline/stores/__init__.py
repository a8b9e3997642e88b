"""Stores: folders of immutable shards of one spec."""
