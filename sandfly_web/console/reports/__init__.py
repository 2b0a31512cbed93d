"""Reports: a host as it is now, and what scans cost; to read, to print, and to take away as HTML, CSV or JSON."""
