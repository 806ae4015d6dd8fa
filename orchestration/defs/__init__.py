"""Definitions by area; each module offers one ``@dg.definitions`` function and nothing besides."""
