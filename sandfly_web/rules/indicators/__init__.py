"""Lists of known bad values (indicators of compromise): read, kept, sent out in compact form, verified on return."""
