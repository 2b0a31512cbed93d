"""What `./manage.py rules` prints, one module an action; the command itself reads the arguments."""
