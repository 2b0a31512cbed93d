"""Hosts from the inventories that people have already: lists, CSV, Ansible, ssh_config."""
