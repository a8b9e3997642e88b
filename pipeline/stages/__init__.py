"""Stages: Luigi tasks that make artifacts, and what decides whether they are stale."""
