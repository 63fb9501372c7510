"""What tests share: fixtures, servers, proxies, pages, samples."""
