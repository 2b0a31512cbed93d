"""Everything dated that is known of a host, in one order: what its files, programs and logs say, and what scans saw."""
