"""Fakes that implement the product's ports, so that tests need no mocks."""
