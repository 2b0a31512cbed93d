"""The Django side: inventory, rules, scans, findings, console and API."""
