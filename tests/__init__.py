"""Tests, one folder per kind; `.ci/run help` lists the steps that run them."""
