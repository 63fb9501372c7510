"""Shared parts of tests: fixtures, servers, proxies, pages, samples."""
